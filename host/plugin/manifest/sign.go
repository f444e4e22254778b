package manifest

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nkeys"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Keys are nkeys of the kind account: public ones begin with A, seeds with SA.
// A user's key, which begins with U, is refused: a NATS client signs with it
// whatever a server asks it to.

// signed is what stands before the canonical form in what is signed, so that
// nothing else that was ever signed with a key is a signature of a manifest.
const signed = "gchost plugin manifest 1\n"

// keyLength is how many letters a public key has.
const keyLength = 56

// maxSignature is the longest text of a signature, in bytes.
const maxSignature = 1 << 10

// signatureHead is the first line of the text of a signature.
const signatureHead = "gchost plugin signature 1"

// Signature is an ed25519 signature over a manifest.
type Signature struct {
	Key   string // public key, an nkey
	Bytes [64]byte
}

// NewKey makes a pair of keys. The seed is secret.
func NewKey() (public, seed string, err error) {
	pair, err := nkeys.CreateAccount()
	if err != nil {
		return "", "", fmt.Errorf("make key: %w", err)
	}
	defer pair.Wipe()
	public, err = pair.PublicKey()
	if err != nil {
		return "", "", fmt.Errorf("make key: %w", err)
	}
	secret, err := pair.Seed()
	if err != nil {
		return "", "", fmt.Errorf("make key: %w", err)
	}
	return public, string(secret), nil
}

// CheckKey says whether a text is a public key that can be trusted.
//
// # Errors
//
// [pluginapi.ErrInvalid]; a seed is not repeated in it.
func CheckKey(public string) error {
	switch {
	case strings.HasPrefix(public, "S"):
		return fmt.Errorf("%w: that is a seed, which must stay secret: give the public key, which begins with A", pluginapi.ErrInvalid)
	case len(public) != keyLength || !nkeys.IsValidPublicAccountKey(public): // nkeys lets letters at the end through
		return fmt.Errorf("%w: %.80q is no public key of plugins: give one that \"gchost plugin keygen\" has shown, it begins with A", pluginapi.ErrInvalid, public)
	}
	return nil
}

// Sign signs a manifest with a seed, as NewKey has made it.
//
// # Errors
//
// [pluginapi.ErrInvalid] for a manifest without digest and size, and for what is
// no seed of the right kind.
func Sign(m Manifest, seed string) (Signature, error) {
	if !m.Sealed() {
		return Signature{}, fmt.Errorf("sign plugin %s: %w: the manifest has no digest and size of its file", m, pluginapi.ErrInvalid)
	}
	if prefix, _, err := nkeys.DecodeSeed([]byte(seed)); err != nil || prefix != nkeys.PrefixByteAccount {
		return Signature{}, fmt.Errorf("sign plugin %s: %w: that is no seed for plugins: take one that \"gchost plugin keygen\" has made, it begins with SA", m, pluginapi.ErrInvalid)
	}
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return Signature{}, fmt.Errorf("sign plugin %s: %w: the seed is damaged", m, pluginapi.ErrInvalid)
	}
	defer pair.Wipe()
	sig, err := pair.Sign(m.message())
	if err != nil {
		return Signature{}, fmt.Errorf("sign plugin %s: %w", m, err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		return Signature{}, fmt.Errorf("sign plugin %s: %w", m, err)
	}
	s := Signature{Key: public}
	copy(s.Bytes[:], sig)
	return s, nil
}

// message is what is signed.
func (m Manifest) message() []byte { return append([]byte(signed), m.Canonical()...) }

// Text is the signature as plugin.sig has it: three lines, the head, the key,
// the 64 bytes in base64.
func (s Signature) Text() []byte {
	return []byte(signatureHead + "\n" + s.Key + "\n" + base64.StdEncoding.EncodeToString(s.Bytes[:]) + "\n")
}

// ParseSignature reads a plugin.sig.
//
// # Errors
//
// [pluginapi.ErrInvalid] for anything but what [Signature.Text] writes.
func ParseSignature(text []byte) (s Signature, err error) {
	if len(text) > maxSignature {
		return s, fmt.Errorf("%w: %s has %d bytes: the most is %d", pluginapi.ErrInvalid, SignatureName, len(text), maxSignature)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) != 4 || lines[0] != signatureHead || lines[3] != "" {
		return s, fmt.Errorf("%w: %s is not what \"gchost plugin sign\" writes: sign the plugin again", pluginapi.ErrInvalid, SignatureName)
	}
	b, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(b) != len(s.Bytes) {
		return s, fmt.Errorf("%w: the signature in %s is damaged: sign the plugin again", pluginapi.ErrInvalid, SignatureName)
	}
	if err := CheckKey(lines[1]); err != nil {
		return s, fmt.Errorf("read %s: %w", SignatureName, err)
	}
	return Signature{lines[1], [64]byte(b)}, nil
}

// Check says whether the signature is one over the manifest by the key that it
// names, whoever that is: it proves nothing but that. See [Trust.Verify].
//
// # Errors
//
// [pluginapi.ErrUnauthorized].
func (s Signature) Check(m Manifest) error {
	pair, err := nkeys.FromPublicKey(s.Key)
	if err == nil {
		err = CheckKey(s.Key)
	}
	if err == nil && m.Sealed() {
		err = pair.Verify(m.message(), s.Bytes[:])
	}
	if err != nil || !m.Sealed() {
		return fmt.Errorf("%w: the signature of plugin %s is wrong: the manifest or the file was changed after it was signed", pluginapi.ErrUnauthorized, m)
	}
	return nil
}

// Trust says whose plugins may run.
type Trust struct {
	Keys          []string // public keys; plugins.trust
	AllowUnsigned bool     // plugins.allow_unsigned
}

// Verify says whether a plugin may run: a trusted key has signed its manifest.
// sig is nil for a plugin without a signature. A signature that is there must be
// right and trusted, even if unsigned plugins are allowed.
//
// # Errors
//
// [pluginapi.ErrUnauthorized], with the key to trust; [pluginapi.ErrInvalid] for
// a manifest without digest and size.
func (t Trust) Verify(m Manifest, sig *Signature) error {
	switch {
	case !m.Sealed():
		return fmt.Errorf("verify plugin %s: %w: the manifest has no digest and size of its file: pack it with \"gchost plugin pack\"", m, pluginapi.ErrInvalid)
	case sig == nil && t.AllowUnsigned:
		return nil
	case sig == nil:
		return fmt.Errorf("verify plugin %s: %w: it has no signature: sign it with \"gchost plugin sign\", or set plugins.allow_unsigned on every node", m, pluginapi.ErrUnauthorized)
	}
	if err := sig.Check(m); err != nil {
		return fmt.Errorf("verify plugin %s: %w", m, err)
	}
	if !slices.Contains(t.Keys, sig.Key) {
		return fmt.Errorf("verify plugin %s: %w: it is signed with the key %s, which is none of plugins.trust: add it there on every node if you trust who has it", m, pluginapi.ErrUnauthorized, sig.Key)
	}
	return nil
}
