package listener

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/netip"
	"time"
)

// cookieSlot is how long one cookie is given out; it is taken for as long again.
const cookieSlot = 30 * time.Second

// baker makes cookies that prove a caller's address without any memory of the caller.
type baker struct {
	mac hash.Hash
	in  [16 + 2 + 16 + 2 + 8]byte
	out [sha256.Size]byte
}

func newBaker() *baker {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return &baker{mac: hmac.New(sha256.New, secret)}
}

// bake is HMAC(secret; peer, local, slot), its first 32 bits.
func (k *baker) bake(peer, local netip.AddrPort, slot int64) uint32 {
	a := peer.Addr().As16()
	copy(k.in[:], a[:])
	binary.BigEndian.PutUint16(k.in[16:], peer.Port())
	a = local.Addr().As16()
	copy(k.in[18:], a[:])
	binary.BigEndian.PutUint16(k.in[34:], local.Port())
	binary.BigEndian.PutUint64(k.in[36:], uint64(slot))
	k.mac.Reset()
	_, _ = k.mac.Write(k.in[:])
	return binary.BigEndian.Uint32(k.mac.Sum(k.out[:0]))
}

func (k *baker) cookie(peer, local netip.AddrPort, now time.Time) uint32 {
	return k.bake(peer, local, now.UnixNano()/int64(cookieSlot))
}

func (k *baker) valid(cookie uint32, peer, local netip.AddrPort, now time.Time) bool {
	slot := now.UnixNano() / int64(cookieSlot)
	return cookie == k.bake(peer, local, slot) || cookie == k.bake(peer, local, slot-1)
}
