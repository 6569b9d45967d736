// Package source plays an encoder that never ends: it sends a clip in real time, again and again, with time stamps and continuity counters that
// go on as if it were one long recording.
package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"time"

	"brume/media/ts"
)

const (
	clock       = 90000 // of PTS, DTS and the base of PCR, in Hz
	messageSize = 7 * ts.PacketSize
)

// Clip is a transport stream without null packets, as ffmpeg writes it.
type Clip struct {
	stream []byte
	due    []int64 // of each packet, from the first DTS, in ticks; never less than the one before
	length int64   // in ticks
}

// Read reads a clip. Its length is the distance from one repetition to the next: a whole number of frames of each track, so that no seam is seen.
func Read(file string, length time.Duration) (*Clip, error) {
	stream, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parse(stream, length)
}

func parse(stream []byte, length time.Duration) (*Clip, error) {
	if len(stream) == 0 || len(stream)%ts.PacketSize != 0 {
		return nil, errors.New("a clip has to be whole packets of a transport stream")
	}
	c := &Clip{stream: stream, length: length.Nanoseconds() * clock / 1e9}
	first, due := int64(-1), int64(0)
	for p := stream; len(p) > 0; p = p[ts.PacketSize:] {
		if s := stamps(p[:ts.PacketSize]); len(s) > 0 {
			dts := stamp(s[len(s)-1])
			if first < 0 {
				first = dts
			}
			due = max(due, dts-first)
		}
		c.due = append(c.due, due)
	}
	if first < 0 || due >= c.length {
		return nil, errors.New("a clip needs time stamps, and a length beyond its last one")
	}
	return c, nil
}

// Encoder sends a clip.
type Encoder struct {
	Clip  *Clip
	Start int64   // added to every time stamp, in ticks of 90 kHz; they wrap at 33 bits
	Speed float64 // of the encoder's clock, 1 for a right one
}

// Send sends in messages of seven packets, the last one of a picture filled up with null packets, until the context ends (which is no error) or
// a message can't be written. The first packet is due at began.
func (e Encoder) Send(ctx context.Context, began time.Time, to io.Writer) error {
	counters := map[uint16]byte{}
	for past := int64(0); ; past += e.Clip.length {
		for i := 0; i < len(e.Clip.due); {
			due := e.Clip.due[i]
			ticks := float64(past+due) / e.Speed
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Until(began.Add(time.Duration(ticks * 1e9 / clock)))):
			}
			end := i
			for end < len(e.Clip.due) && e.Clip.due[end] == due {
				end++
			}
			picture := bytes.Clone(e.Clip.stream[i*ts.PacketSize : end*ts.PacketSize])
			for p := picture; len(p) > 0; p = p[ts.PacketSize:] {
				move(p[:ts.PacketSize], e.Start+past)
				count(p, counters)
			}
			if err := write(to, picture); err != nil {
				return err
			}
			i = end
		}
	}
}

func write(to io.Writer, b []byte) error {
	for len(b) > 0 {
		message := b[:min(len(b), messageSize)]
		b = b[len(message):]
		for len(message) < messageSize {
			message = append(message[:len(message):len(message)], null...)
		}
		if _, err := to.Write(message); err != nil {
			return err
		}
	}
	return nil
}

// null is a transport stream packet that carries nothing (ISO/IEC 13818-1 2.4.1: PID 0x1fff).
var null = append([]byte{0x47, 0x1f, 0xff, 0x10}, bytes.Repeat([]byte{0xff}, ts.PacketSize-4)...)
