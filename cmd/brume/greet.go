package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"brume/config"
	"brume/controller"
)

// greet says where to publish and where to watch.
func greet(log *slog.Logger, format string, cfg *config.Config, at controller.Addresses) {
	who := "any stream name may be published and played"
	if len(cfg.Access) > 0 {
		who = "the access entries say who may publish and play over SRT"
	}
	if format != string(config.LogText) {
		log.Info("ready: "+who, "version", version, "srt", at.SRT[0], "ports", at.SRT, "http", at.HTTP, "api", at.API)
	} else {
		fmt.Fprint(os.Stdout, welcome(cfg, at, who))
	}
	for _, w := range cfg.Warnings() {
		log.Warn(w)
	}
	if guarded(cfg) {
		log.Warn("access entries, passphrases and networks hold for SRT only: whoever reaches the HTTP port can watch every stream over HLS", "http", at.HTTP)
	}
}

// guarded tells whether somebody may think that not everybody can watch.
func guarded(cfg *config.Config) bool {
	for _, p := range cfg.SRT.AllPorts() {
		if p.Passphrase != "" || len(p.Networks) > 0 {
			return true
		}
	}
	for _, s := range cfg.Streams {
		if s.SRT.PlayPassphrase != "" {
			return true
		}
	}
	return len(cfg.Access) > 0
}

// testPicture publishes a moving picture with a tone and one keyframe a second to the URL that follows.
const testPicture = "ffmpeg -re -f lavfi -i testsrc2=s=1280x720:r=30 -f lavfi -i sine -c:v libx264 -preset veryfast -g 30 -pix_fmt yuv420p -c:a aac -f mpegts"

func welcome(cfg *config.Config, at controller.Addresses, who string) string {
	stream := string(cfg.SRT.Stream)
	srtHere, httpHere, apiHere := here(at.SRT[0]), here(at.HTTP), here(at.API)
	var b strings.Builder
	fmt.Fprintf(&b, `
Brume %[1]s is ready. %[2]s.

  Publish   ffmpeg -re -i FILE -c copy -f mpegts '%[3]s'
            %[4]s '%[3]s'
            OBS: Settings, Stream, Custom, Server %[3]s
  Watch     http://%[5]s/%[6]s.html
  Play      http://%[5]s/hls/%[6]s/index.m3u8
            srt://%[7]s?streamid=read:%[6]s
  Manage    http://%[8]s/
`, version, strings.ToUpper(who[:1])+who[1:], "srt://"+srtHere+"?streamid=publish:"+stream, testPicture,
		httpHere, stream, srtHere, apiHere)
	for i, p := range cfg.SRT.AllPorts() {
		if line := describe(&p); i < len(at.SRT) && (i > 0 || line != "") {
			fmt.Fprintf(&b, "  SRT port  %s%s\n", at.SRT[i], line)
		}
	}
	return b.String() + "\n"
}

// describe is what has to be known of a port to call it.
func describe(p *config.Port) string {
	var b strings.Builder
	if p.Mode != config.ModeAny {
		fmt.Fprintf(&b, ", to %s only", p.Mode)
	}
	if p.Passphrase != "" {
		b.WriteString(", with a passphrase")
	}
	if len(p.Networks) > 0 {
		b.WriteString(", from its networks")
	}
	if b.Len() > 0 || p.Stream != config.Default().SRT.Stream {
		return ": stream " + string(p.Stream) + b.String()
	}
	return ""
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
