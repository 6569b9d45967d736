package srt

// Knock is the packet with which a caller begins, as libsrt sends it: a connection process lets its own libsrt answer it,
// and that answer carries the cookie which this libsrt will ask for.
//
// The caller is in the middle of its handshake with the listener then. It takes the answer, wherever in its handshake it is, and concludes
// at once with the new cookie (draft-sharabayko-srt 4.3.1).
func Knock(h *Handover) []byte {
	// 4.3.1.1: version 4 and the extension field 2, whatever the caller speaks later.
	r := Handshake{Version: 4, Extension: 2, ISN: h.ISN, MTU: 1500, FlowWindow: 8192, Type: TypeInduction, SocketID: h.SocketID}
	return r.Marshal()
}

// SelfTest is what brume-srt selftest prints: whether a caller can be handed over to its libsrt.
type SelfTest struct {
	OK      bool   `json:"ok"`
	LibSRT  string `json:"libsrt"`  // version, "1.5.1"
	Package string `json:"package"` // version of the distribution's package that it was built from
	Detail  string `json:"detail,omitempty"`
}
