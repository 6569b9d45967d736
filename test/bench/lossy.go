package main

import (
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"brume/test/relay"

	"github.com/haivision/srtgo"
)

const (
	lossyCallers = 200
	lossyWait    = 30 * time.Second // a caller that is not in by then is lost
	lossySeed    = 20
)

// connectLossy lets callers in through 20 % loss each way, here and at a plain listener of libsrt's behind the same losses.
func (b *bench) connectLossy() ([]figure, error) {
	srtgo.SrtSetLogLevel(srtgo.SrtLogLevelCrit) // of each packet that overtakes the last reply to a caller
	s, end, err := b.live()
	if err != nil {
		return nil, err
	}
	defer end()
	stop, plain, err := plainListener()
	if err != nil {
		return nil, err
	}
	defer stop()
	var out []figure
	for _, c := range []struct {
		name     string
		blocking bool
	}{{"non-blocking", false}, {"blocking", true}} {
		lost, mean, err := throughLoss(s.srt, "read:live", c.blocking)
		if err != nil {
			return nil, err
		}
		plainLost, plainMean, err := throughLoss(plain, "x", c.blocking)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("connect through 20 %% loss each way, %d %s callers, ", lossyCallers, c.name)
		out = append(out,
			figure{name + "lost", float64(lost), "", atMost(0)},
			figure{name + "mean", mean, "ms", atMost(1.5 * plainMean)},
			figure{name + "plain, lost", float64(plainLost), "", peer},
			figure{name + "plain, mean", plainMean, "ms", peer})
	}
	return out, nil
}

// throughLoss connects lossyCallers callers, a few at a time. Each meets losses of its own, the n-th to come the same at every server.
func throughLoss(address, streamID string, blocking bool) (lost int, mean float64, err error) {
	r, err := relay.Start("127.0.0.1:0", address, relay.Both(lossySeed, relay.Way{Loss: 0.2}))
	if err != nil {
		return 0, 0, err
	}
	defer r.Close()
	host, port, err := net.SplitHostPort(r.Addr())
	if err != nil {
		return 0, 0, err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return 0, 0, err
	}
	mode := "0"
	if blocking {
		mode = "1"
	}
	var mu sync.Mutex
	var sum time.Duration
	var wait sync.WaitGroup
	turns := make(chan struct{}, 4)
	for range lossyCallers {
		turns <- struct{}{}
		wait.Go(func() {
			defer func() { <-turns }()
			s := srtgo.NewSrtSocket(host, uint16(n), map[string]string{
				"transtype": "live", "blocking": mode, "streamid": streamID, "conntimeo": strconv.Itoa(int(lossyWait.Milliseconds())),
			})
			if s == nil {
				return
			}
			defer s.Close()
			began := time.Now()
			failed := s.Connect() != nil
			mu.Lock()
			defer mu.Unlock()
			if failed {
				lost++
			} else {
				sum += time.Since(began)
			}
		})
	}
	wait.Wait()
	return lost, sum.Seconds() * 1000 / float64(max(1, lossyCallers-lost)), nil
}
