package srt

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"net/netip"
)

// LibCookie is the cookie that a fresh listener of libsrt expects from a peer in its first minute. It is no secret.
func LibCookie(peer netip.AddrPort) uint32 {
	sum := md5.Sum(fmt.Appendf(nil, "%s:%d:0", peer.Addr(), peer.Port()))
	return binary.NativeEndian.Uint32(sum[:])
}

// SecondInduction is the packet that makes a caller, which is in the middle of its handshake with the listener,
// conclude it with the libsrt of its own connection process.
func SecondInduction(h *Handover) ([]byte, error) {
	peer, err := netip.ParseAddrPort(h.Peer)
	if err != nil {
		return nil, fmt.Errorf("peer of the hand-over: %w", err)
	}
	r := Handshake{
		Dest: h.SocketID, Version: 5, Extension: magic, ISN: h.ISN, MTU: 1500, FlowWindow: 8192,
		Type: TypeInduction, SocketID: h.SocketID, Cookie: LibCookie(peer),
	}
	return r.Marshal(), nil
}

// SelfTest is what brume-srt selftest prints: whether its libsrt makes the cookies that SecondInduction predicts.
type SelfTest struct {
	OK      bool   `json:"ok"`
	LibSRT  string `json:"libsrt"`  // version, "1.5.1"
	Package string `json:"package"` // version of the distribution's package that it was built from
	Detail  string `json:"detail,omitempty"`
}
