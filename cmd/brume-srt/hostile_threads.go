//go:build hostile && amd64

package main

import "time"

func cloneMany(n int64, word *uint32) int64

// manyThreads makes threads that cost no memory of the process's own.
func manyThreads() {
	time.Sleep(time.Second)
	cloneMany(3000, new(uint32))
	select {}
}
