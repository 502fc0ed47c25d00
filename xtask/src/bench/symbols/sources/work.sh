square() { echo "$(($1 * $1))" >/dev/null; }
words() { local text=$1 word; for word in $text; do [[ $word == *[aeiou]* ]] && word=${word//a/b}; done; }
down() { if (( $1 > 0 )); then down $(($1 - 1)); fi; }
while :; do
    for number in {1..50}; do square "$number"; done
    words "the quick brown fox jumps over the lazy dog"
    down 20
done
