package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"brume/config"
)

// greet says where to publish and where to watch.
func greet(log *slog.Logger, format string, cfg *config.Config, srt, http, api string) {
	stream := string(cfg.SRT.Stream)
	if format != string(config.LogText) {
		log.Info("ready: any stream name may be published and played", "version", version, "srt", srt, "http", http, "api", api)
		return
	}
	srtHere, httpHere, apiHere := here(srt), here(http), here(api)
	fmt.Fprintf(os.Stdout, `
Brume %s is ready. Any stream name may be published and played.

  Publish   ffmpeg -re -i FILE -c copy -f mpegts 'srt://%s?streamid=%s'
            OBS: Settings, Stream, Custom, Server srt://%s?streamid=publish:%s
  Watch     http://%s/%s.html
  Play      http://%s/hls/%s/index.m3u8
            srt://%s?streamid=read:%s
  Manage    http://%s/

`, version, srtHere, stream, srtHere, stream, httpHere, stream, httpHere, stream, srtHere, stream, apiHere)
}

// here is an address as this machine reaches it.
func here(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
