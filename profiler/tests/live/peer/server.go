// A goroutine for each connection; the runtime moves them between threads.
package main

import (
	"fmt"
	"net"
	"time"
)

var sink uint64

func decode(milliseconds byte) {
	word := uint64(7)
	for end := time.Now().Add(time.Duration(milliseconds) * time.Millisecond); time.Now().Before(end); {
		for at := 0; at < 5000; at++ {
			word = word * 31 % 1000003
		}
	}
	sink = word
}

func serve(connection net.Conn) {
	defer connection.Close()
	asked := make([]byte, 64)
	for {
		if count, err := connection.Read(asked); err != nil || count == 0 {
			return
		}
		decode(asked[0])
		connection.Write([]byte("!"))
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	for {
		if connection, err := listener.Accept(); err == nil {
			go serve(connection)
		}
	}
}
