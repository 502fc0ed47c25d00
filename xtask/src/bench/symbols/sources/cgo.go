package main

/*
#include <stdlib.h>
static int less(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }
__attribute__((noinline)) int sorted_sum(int many) {
	int *list = malloc(many * sizeof *list), sum = 0;
	for (int at = 0; at < many; at++) list[at] = at * 7919 % 1000;
	qsort(list, many, sizeof *list, less);
	for (int at = 0; at < many; at += 7) sum += list[at];
	free(list);
	return sum;
}
*/
import "C"

import (
	"fmt"
	"net/http"
	"os"
)

func sum() int { return int(C.sorted_sum(2000)) }

func main() {
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(answer, sum())
	})
	panic(http.ListenAndServe(os.Args[1], nil))
}
