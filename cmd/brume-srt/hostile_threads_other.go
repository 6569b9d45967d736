//go:build hostile && !amd64

package main

import (
	"runtime"
	"time"
)

// manyThreads makes threads until there is no more memory for their stacks.
func manyThreads() {
	time.Sleep(time.Second)
	for {
		go func() {
			runtime.LockOSThread()
			select {}
		}()
		time.Sleep(time.Millisecond)
	}
}
