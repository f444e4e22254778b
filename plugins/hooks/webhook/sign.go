package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
)

// keyPrefix marks a secret that is written in base64.
const keyPrefix = "whsec_"

// signatureOf signs a delivery as the Standard Webhooks specification says: an
// HMAC with SHA-256 over "id.timestamp.body", in base64, after its version.
func signatureOf(secret, id, at string, body []byte) (string, error) {
	secret = strings.TrimSpace(secret)
	key := []byte(secret)
	if text, ok := strings.CutPrefix(secret, keyPrefix); ok {
		var err error
		if key, err = base64.StdEncoding.DecodeString(text); err != nil {
			return "", sdk.Fail(string(sdk.ErrInvalid), "secret "+secretName+": what follows "+keyPrefix+" is not base64")
		}
	}
	if len(key) == 0 {
		return "", sdk.Fail(string(sdk.ErrInvalid), "secret "+secretName+" is empty")
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + at + "."))
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}
