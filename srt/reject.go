package srt

import "strconv"

// Rejection codes of a handshake. Those below 1400 are libsrt's own, the others follow HTTP (draft-sharabayko-srt 4.3, access control guidelines).
const (
	RejectVersion    = 1008 // handshake version 4
	RejectBadSecret  = 1010 // wrong passphrase
	RejectUnsecure   = 1011 // one side has a passphrase, the other has none
	RejectMessageAPI = 1012 // buffer mode
	RejectCongestion = 1013 // congestion control for files
	RejectGroup      = 1015 // bonded

	RejectBadRequest   = 1400 // the stream id can't be read
	RejectUnauthorized = 1401 // bad credentials
	RejectOverload     = 1402 // no room
	RejectForbidden    = 1403 // known, but not allowed
	RejectNotFound     = 1404 // no such stream
	RejectBadMode      = 1405 // the port or stream does not serve that mode
	RejectConflict     = 1409 // the stream has a publisher
	RejectUnsupported  = 1415 // the stream has nothing that can be played
	RejectLocked       = 1423 // the stream is not open now
	RejectUnavailable  = 1503 // shutting down
)

// RejectionType is the handshake type that tells a caller a code. libsrt sends its own reasons (SRT_REJ_...) and those of an
// application (SRT_REJX_..., from 1400 on) alike with 1000 added; its own have that 1000 in their code here already.
func RejectionType(code int) HandshakeType {
	if code >= RejectBadRequest {
		code += 1000
	}
	return HandshakeType(code)
}

// CodeName is a rejection code as a label, of which there are few: what a controller may say beyond them is "other".
func CodeName(code int) string {
	switch code {
	case RejectVersion, RejectBadSecret, RejectUnsecure, RejectMessageAPI, RejectCongestion, RejectGroup, RejectBadRequest, RejectUnauthorized, RejectOverload,
		RejectForbidden, RejectNotFound, RejectBadMode, RejectConflict, RejectUnsupported, RejectLocked, RejectUnavailable:
		return strconv.Itoa(code)
	}
	return "other"
}

// RejectText says what a rejection code means that a peer gave; empty for those of libsrt.
func RejectText(code int) string {
	switch code {
	case RejectBadRequest:
		return "the peer can't read the stream id"
	case RejectUnauthorized:
		return "the peer wants other credentials"
	case RejectOverload:
		return "the peer has no room"
	case RejectForbidden:
		return "the peer does not allow it"
	case RejectNotFound:
		return "the peer has no such stream"
	case RejectBadMode:
		return "the peer does not serve that mode"
	case RejectConflict:
		return "the peer has a publisher for that stream already"
	case RejectUnsupported:
		return "the peer's stream has nothing that can be played"
	case RejectLocked:
		return "the peer's stream is not open now"
	case RejectUnavailable:
		return "the peer is shutting down"
	}
	return ""
}
