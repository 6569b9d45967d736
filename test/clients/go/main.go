// Uses a client made by oapi-codegen: go run . URL. It prints what it saw, in JSON.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"time"
)

// seen is what the test compares.
type seen struct {
	Processes   []string   `json:"processes"`
	Streams     []string   `json:"streams"`
	Codecs      []string   `json:"codecs"`
	Programs    [][]string `json:"programs"`
	Feeds       [][]string `json:"feeds"`
	Columns     []bool     `json:"columns"`
	Retry       string     `json:"retry"`
	UnknownType int        `json:"unknownType"`
	Lock        []int      `json:"lock"`
	Push        string     `json:"push"`
	PushEnded   int        `json:"pushEnded"`
	Missing     string     `json:"missing"`
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := NewClientWithResponses(os.Args[1])
	check(err)
	var s seen
	s.read(ctx, c)
	s.write(ctx, c)
	s.events(ctx, c)
	check(json.NewEncoder(os.Stdout).Encode(s))
}

func (s *seen) read(ctx context.Context, c *ClientWithResponses) {
	info, err := c.GetInfoWithResponse(ctx)
	check(err)
	for _, p := range info.JSON200.Processes {
		if p.Role != "srt-idle" {
			s.Processes = append(s.Processes, string(p.Role))
		}
	}
	limit := int64(10)
	streams, err := c.ListStreamsWithResponse(ctx, &ListStreamsParams{Limit: &limit})
	check(err)
	for _, one := range streams.JSON200.Items {
		s.Streams = append(s.Streams, one.Name)
	}
	stream, err := c.GetStreamWithResponse(ctx, "live")
	check(err)
	for _, t := range stream.JSON200.Tracks {
		s.Codecs = append(s.Codecs, t.Codec)
	}
	for _, p := range stream.JSON200.Programs {
		s.Programs = append(s.Programs, p.Streams)
	}
	name, role := "live", ListConnectionsParamsRole("publish")
	connections, err := c.ListConnectionsWithResponse(ctx, &ListConnectionsParams{Stream: &name, Role: &role})
	check(err)
	for _, one := range connections.JSON200.Items {
		s.Feeds = append(s.Feeds, one.Feeds)
	}
	history, err := c.GetStreamHistoryWithResponse(ctx, "live", nil)
	check(err)
	h := history.JSON200
	s.Columns = []bool{len(h.Time) > 0, len(h.RttMs) == len(h.Time)}
	missing, err := c.GetStreamWithResponse(ctx, "none")
	check(err)
	s.Missing = *missing.ApplicationproblemJSON404.Detail
}

func (s *seen) write(ctx context.Context, c *ClientWithResponses) {
	locked, err := c.LockStreamWithResponse(ctx, "other")
	check(err)
	unlocked, err := c.UnlockStreamWithResponse(ctx, "other")
	check(err)
	s.Lock = []int{locked.StatusCode(), unlocked.StatusCode()}
	push, err := c.StartPushWithResponse(ctx, StartPushJSONRequestBody{Stream: "idle", Url: "srt://127.0.0.1:9?passphrase=a%20long%20secret"})
	check(err)
	s.Push = push.JSON201.Url
	ended, err := c.EndPushWithResponse(ctx, push.JSON201.Id)
	check(err)
	s.PushEnded = ended.StatusCode()
}

func (s *seen) events(ctx context.Context, c *ClientWithResponses) {
	name := "live"
	types := []StreamEventsParamsTypes{"stream.live", "stream.removed"}
	r, err := c.ClientInterface.StreamEvents(ctx, &StreamEventsParams{Types: &types, Stream: &name})
	check(err)
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode != http.StatusOK {
		check(fmt.Errorf("events: %s", r.Status))
	}
	line, err := bufio.NewReader(r.Body).ReadString('\n')
	check(err)
	s.Retry = line[:len(line)-1]
	types[1] = "nonsense"
	unknown, err := c.StreamEventsWithResponse(ctx, &StreamEventsParams{Types: &types})
	check(err)
	s.UnknownType = unknown.StatusCode()
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
