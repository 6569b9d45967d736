// Command cmd is the tests' bad network, to be used by hand:
//
//	go run ./test/relay/cmd -listen 127.0.0.1:9000 -to 127.0.0.1:8889 -both loss=0.02,delay=40ms
//	ffmpeg -re -i FILE -c copy -f mpegts 'srt://127.0.0.1:9000?streamid=publish:live&latency=600000'
//
// What it did is printed as JSON every ten seconds and at the end.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"brume/test/relay"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:9000", "address for callers")
	to := flag.String("to", "127.0.0.1:8889", "address of the server")
	seed := flag.Uint64("seed", 1, "the same seed loses the same packets")
	both := flag.String("both", "", "both ways: loss=SHARE,burst=BEGIN/END/LOSS,delay=TIME,jitter=TIME,reorder=SHARE/TIME,duplicate=SHARE")
	up := flag.String("up", "", "the way to the server, if it differs")
	down := flag.String("down", "", "the way to the callers, if it differs")
	flag.Parse()
	if err := run(*listen, *to, *seed, either(*up, *both), either(*down, *both)); err != nil {
		fmt.Fprintln(os.Stderr, "relay:", err)
		os.Exit(1)
	}
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func run(listen, to string, seed uint64, up, down string) error {
	c := relay.Config{Seed: seed}
	var err error
	if c.Up, err = relay.ParseWay(up); err != nil {
		return err
	}
	if c.Down, err = relay.ParseWay(down); err != nil {
		return err
	}
	r, err := relay.Start(listen, to, c)
	if err != nil {
		return err
	}
	defer r.Close()
	end := make(chan os.Signal, 1)
	signal.Notify(end, os.Interrupt, syscall.SIGTERM)
	for {
		ended := false
		select {
		case <-end:
			ended = true
		case <-time.After(10 * time.Second):
		}
		u, d := r.Counts()
		if err := json.NewEncoder(os.Stdout).Encode(map[string]relay.Count{"up": u, "down": d}); err != nil || ended {
			return err
		}
	}
}
