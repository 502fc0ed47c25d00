// Story S4: a service in Go that sums pictures in C++.
// In: an address. Out: for `/thumb?ms=N` the sum of a picture, computed for so many milliseconds. The picture is freed by a finalizer, which may
// run as soon as Go does not need it any more; that C still does, Go does not see.
package main

// #include "image.h"
import "C"

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"time"
)

const side = 1024

type picture struct{ image *C.struct_image }

func open() *picture {
	p := &picture{C.image_new(side)}
	runtime.SetFinalizer(p, func(p *picture) { C.image_free(p.image) })
	return p
}

// The fault: nothing keeps the picture alive until the call has returned.
//
//go:noinline
func (p *picture) checksum(ms int) uint {
	return uint(C.image_checksum(p.image, C.uint(ms)))
}

//go:noinline
func thumb(answer http.ResponseWriter, request *http.Request) {
	ms, _ := strconv.Atoi(request.URL.Query().Get("ms"))
	fmt.Fprintln(answer, open().checksum(ms))
}

func main() {
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			runtime.GC()
		}
	}()
	http.HandleFunc("/thumb", thumb)
	if err := http.ListenAndServe(os.Args[1], nil); err != nil {
		os.Exit(1)
	}
}
