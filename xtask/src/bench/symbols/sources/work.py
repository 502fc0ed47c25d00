import json, random, re

def order(number):
    return {"id": number, "name": f"item-{number * 7919 % 1000}", "tags": ["a", "b", "c"], "price": number / 7}

def parse(text):
    return [one for one in json.loads(text) if re.match(r"item-\d*[02468]$", one["name"])]

def sort(orders):
    return sorted(orders, key=lambda one: (one["price"], one["name"]))

def depth(left):
    return 1 if left == 0 else 1 + depth(left - 1)

while True:
    random.seed(7)
    orders = [order(random.randrange(1000)) for _ in range(300)]
    sort(parse(json.dumps(orders)))
    depth(100)
