package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"brume/test/chromium"
	"brume/test/source"

	"github.com/chromedp/chromedp"
)

const (
	clockLength = 64 * time.Second // 3000 frames of AAC
	clockRate   = 30               // pictures a second
	clockBits   = 11
	clockBlock  = 16 // edge of a block, in pixels
)

//go:embed clock.js
var clockReader string

// pageLatency measures how old a picture is when the player page shows it, from when its last packet was given to libsrt. The pictures carry
// their number, which tells when they were sent. The encoder's own delay is not in it.
func (b *bench) pageLatency() ([]figure, error) {
	file := filepath.Join(b.dir, "clock.ts")
	if err := encodeClock(file); err != nil {
		return nil, err
	}
	clip, err := source.Read(file, clockLength)
	if err != nil {
		return nil, err
	}
	s, err := b.start()
	if err != nil {
		return nil, err
	}
	defer s.stop()
	to, _, err := call(s.srt, "publish:clock", true)
	if err != nil {
		return nil, err
	}
	defer to.Close()
	ctx, cancel := context.WithCancel(context.Background())
	began, failed := time.Now(), make(chan error, 1)
	go func() { failed <- source.Encoder{Clip: clip, Speed: 1}.Send(ctx, began, messages(to.Write)) }()
	defer func() { <-failed }()
	defer cancel()
	if err := s.waitState("clock"); err != nil {
		return nil, err
	}
	time.Sleep(10 * time.Second)
	readings, err := b.readClock("http://" + s.http + "/clock.html")
	if err != nil {
		return nil, err
	}
	all := make([]time.Duration, 0, len(readings))
	for _, r := range readings {
		sent := time.Duration(r[1]) * time.Second / clockRate
		all = append(all, (time.UnixMicro(int64(r[0]*1000)).Sub(began)-sent+clockLength)%clockLength)
	}
	return []figure{
		{"player page behind the encoder (GOP of 1 s, parts of 0.5 s), median", percentile(all, 0.5) / 1000, "s", atMost(2)},
		{"player page behind the encoder, 95th percentile", percentile(all, 0.95) / 1000, "s", goal{}},
	}, nil
}

// messages writes by a function.
type messages func(b []byte) (int, error)

var _ io.Writer = messages(nil)

// Write implements io.Writer.
func (w messages) Write(b []byte) (int, error) { return w(b) }

// encodeClock makes a clip whose pictures carry their number as clock.js reads it.
func encodeClock(path string) error {
	var clock strings.Builder
	for k := range clockBits {
		for row, not := range []string{"", "1-"} {
			fmt.Fprintf(&clock, ",drawbox=x=%d:y=%d:w=%[3]d:h=%[3]d:t=fill:c=black", k*clockBlock, row*clockBlock, clockBlock)
			fmt.Fprintf(&clock, ",drawbox=x=%d:y=%d:w=%[3]d:h=%[3]d:t=fill:c=white:enable='%[4]smod(floor(n/%[5]d),2)'", k*clockBlock, row*clockBlock, clockBlock, not, 1<<k)
		}
	}
	cmd := exec.Command("ffmpeg", "-nostdin", "-v", "error",
		"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=s=640x360:r=%d%s", clockRate, clock.String()),
		"-f", "lavfi", "-i", "sine=f=440:r=48000",
		"-frames:v", fmt.Sprint(clockRate*int(clockLength.Seconds())), "-frames:a", fmt.Sprint(48000*int(clockLength.Seconds())/1024),
		"-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", fmt.Sprint(clockRate), "-b:v", "1M",
		"-c:a", "aac", "-pes_payload_size", "0", "-f", "mpegts", path)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ffmpeg: %w: %s", err, out)
	}
	return nil
}

// readClock opens a player page and, once it has played for ten seconds, reads the clock in its pictures: when each was shown, in ms since 1970,
// and its number.
func (b *bench) readClock(url string) (readings [][2]float64, err error) {
	dir, err := os.MkdirTemp(b.dir, "chromium-")
	if err != nil {
		return nil, err
	}
	page, stop, err := chromium.Start(context.Background(), dir, 1280, 800)
	if err != nil {
		return nil, err
	}
	defer stop()
	length := time.Duration(b.seconds) * time.Second
	page, cancel := context.WithTimeout(page, time.Minute+length)
	defer cancel()
	err = chromedp.Run(page, chromedp.Navigate(url),
		chromedp.Poll(`document.querySelector('video').currentTime > 0 && document.body.dataset.state === 'playing'`, nil),
		chromedp.Sleep(10*time.Second),
		chromedp.Evaluate(fmt.Sprintf("window.clockLayout = {bits: %d, block: %d}", clockBits, clockBlock), nil),
		chromedp.Evaluate(clockReader, nil), chromedp.Sleep(length), chromedp.Evaluate("clockReadings", &readings))
	if err == nil && len(readings) < b.seconds*clockRate/2 {
		err = errors.New("the clock in the picture could not be read")
	}
	return readings, err
}
