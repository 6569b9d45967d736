package controller

import "brume/srt"

// cause is why an SRT caller is refused. It is a label of a metric, so that there are few.
type cause string

// The causes.
const (
	causeBadRequest  cause = "bad_request"       // its stream id can't be read
	causeBadMode     cause = "bad_mode"          // neither the server nor its port serves that mode, or it has to state one
	causeNetwork     cause = "network"           // the port is not for its address
	causeCredentials cause = "bad_credentials"   // wrong ones, or none
	causeForbidden   cause = "forbidden"         // it may not do that
	causeUnknown     cause = "unknown_stream"    // no access entry names the stream
	causeLocked      cause = "locked"            // the stream is locked
	causeNoSecret    cause = "no_secret"         // one side has a passphrase, the other has none
	causeBadSecret   cause = "bad_secret"        // wrong passphrase
	causeNoPublisher cause = "no_publisher"      // nobody publishes the stream
	causeConflict    cause = "conflict"          // somebody publishes it already
	causeUnplayable  cause = "unplayable"        // nothing that its publisher sends can be played
	causeConnections cause = "limit_connections" // limits.connections
	causePerAddress  cause = "limit_address"     // limits.per_address
	causePerStream   cause = "limit_stream"      // limits.per_stream
	causeNoProcess   cause = "no_process"        // no process is ready for it
	causeBuffer      cause = "buffer"            // the stream's buffer can't be made
	causeEnded       cause = "ended"             // somebody ended it before it began
	causeStopping    cause = "stopping"          // the server is shutting down

	// Of a listener, whatever is asked for:
	causeBadHandshake cause = "bad_handshake" // its handshake can't be read
	causeVersion      cause = "version"       // handshake version 4, of libsrt before 1.3
	causeBufferMode   cause = "buffer_mode"   // messageapi=0
	causeFileMode     cause = "file_mode"     // transtype=file
	causeGroup        cause = "group"         // a member of a bonded group
)

// codes are the SRT rejection codes that callers are told.
var codes = map[cause]int{
	causeBadRequest: srt.RejectBadRequest, causeBadMode: srt.RejectBadMode, causeNetwork: srt.RejectForbidden,
	causeCredentials: srt.RejectUnauthorized, causeForbidden: srt.RejectForbidden, causeUnknown: srt.RejectNotFound,
	causeLocked: srt.RejectLocked, causeNoSecret: srt.RejectUnsecure, causeBadSecret: srt.RejectBadSecret,
	causeNoPublisher: srt.RejectNotFound, causeConflict: srt.RejectConflict, causeConnections: srt.RejectOverload,
	causePerAddress: srt.RejectOverload, causePerStream: srt.RejectOverload, causeNoProcess: srt.RejectOverload,
	causeBuffer: srt.RejectOverload, causeEnded: srt.RejectUnavailable, causeStopping: srt.RejectUnavailable,
	causeBadHandshake: srt.RejectBadRequest, causeVersion: srt.RejectVersion, causeBufferMode: srt.RejectMessageAPI,
	causeFileMode: srt.RejectCongestion, causeGroup: srt.RejectGroup, causeUnplayable: srt.RejectUnsupported,
}

func (c cause) code() int { return codes[c] }
