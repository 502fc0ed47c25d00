package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sort"
)

type item struct {
	Name  string
	Price int
}

func items(many int) []item {
	list := make([]item, 0, many)
	for number := 0; number < many; number++ {
		list = append(list, item{fmt.Sprintf("item-%d", number*7919%1000), number % 97})
	}
	sort.Slice(list, func(a, b int) bool { return list[a].Name < list[b].Name })
	return list
}

func main() {
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(answer).Encode(items(50))
	})
	panic(http.ListenAndServe(os.Args[1], nil))
}
