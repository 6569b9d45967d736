package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"brume/access"
	"brume/config"
	"brume/controller"
	"brume/media"
)

// greet says where to publish and where to watch, and who may do so at each port.
func greet(log *slog.Logger, format string, cfg *config.Config, at controller.Addresses) {
	if format != string(config.LogText) {
		ports := at.Strings()
		log.Info("ready", "version", version, "srt", ports[0], "ports", ports, "http", at.HTTP, "api", at.API)
		for i := range at.SRT {
			log.Info("SRT "+at.SRT[i].Callers(cfg), "port", string(at.SRT[i].Address))
		}
	} else {
		fmt.Fprint(os.Stdout, welcome(cfg, at))
	}
	for _, w := range cfg.Warnings() {
		log.Warn(w)
	}
	if guarded(cfg) {
		log.Warn("access entries, passphrases and networks hold for SRT only: whoever reaches the HTTP port can watch every stream over HLS", "http", at.HTTP)
	}
}

// guarded reports whether somebody may think that not everybody can watch.
func guarded(cfg *config.Config) bool {
	for _, p := range cfg.SRT.AllPorts() {
		if p.Passphrase != "" || len(p.Networks) > 0 {
			return true
		}
	}
	return cfg.StreamPassphrases(config.ModePlay) || len(cfg.Access) > 0
}

// testPicture publishes a moving picture with a tone and one keyframe a second to the URL that follows.
const testPicture = "ffmpeg -re -f lavfi -i testsrc2=s=1280x720:r=30 -f lavfi -i sine -c:v libx264 -preset veryfast -g 30 -pix_fmt yuv420p -c:a aac -f mpegts"

// welcome is what a terminal shows: lines to copy, for the ports that take them, and what holds at each port.
func welcome(cfg *config.Config, at controller.Addresses) string {
	stream := string(cfg.SRT.Stream)
	httpHere, apiHere := here(at.HTTP), here(at.API)
	var b strings.Builder
	fmt.Fprintf(&b, "\nBrume %s is ready.\n\n", version)
	if url := example(cfg, at, media.Publish); url != "" {
		fmt.Fprintf(&b, "  Publish   ffmpeg -re -i FILE -c copy -f mpegts '%[1]s'\n            %[2]s '%[1]s'\n"+
			"            OBS: Settings, Output, Advanced, Keyframe Interval 1 s; Stream, Custom, Server %[1]s\n", url, testPicture)
	}
	fmt.Fprintf(&b, "  Watch     http://%[1]s/%[2]s.html\n  Play      http://%[1]s/hls/%[2]s/index.m3u8\n", httpHere, stream)
	if url := example(cfg, at, media.Play); url != "" {
		fmt.Fprintf(&b, "            %s\n", url)
	}
	fmt.Fprintf(&b, "  Manage    http://%s/\n", apiHere)
	for i := range at.SRT {
		fmt.Fprintf(&b, "  SRT port  %s: %s\n", at.SRT[i].Address, at.SRT[i].Callers(cfg))
	}
	return b.String() + "\n"
}

// example is the URL of the first port where the first port's stream may be published or played, with words in capitals where a
// caller has to put secrets of its own; empty where no port is for that.
func example(cfg *config.Config, at controller.Addresses, role media.Role) string {
	i := slices.IndexFunc(at.SRT, func(p controller.Port) bool { return !p.Only && p.Mode.Allows(role) })
	if i < 0 {
		return ""
	}
	p, stream := &at.SRT[i], string(cfg.SRT.Stream)
	own := cfg.Stream(stream).SRT
	id, passphrase := "publish:"+stream, own.PublishPassphrase
	if role == media.Play {
		id, passphrase = "read:"+stream, own.PlayPassphrase
	}
	ask := access.Ask{Protocol: "srt", Peer: netip.AddrFrom4([4]byte{127, 0, 0, 1}), Action: role, Stream: stream}
	if access.NewTable(cfg.Access).Decide(&ask).Outcome != access.Allowed {
		id += ":USER:PASSWORD"
	}
	url := "srt://" + here(string(p.Address)) + "?streamid=" + id
	if cmp.Or(passphrase, p.Passphrase) != "" {
		url += "&passphrase=PASSPHRASE"
	}
	return url
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
