package bus

import (
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// bucketConfig is where the entries of a bucket live, by the rules of NATS KV.
func bucketConfig(names AppNames, replicas int) RecordsConfig {
	return RecordsConfig{
		Stream: "KV_" + names.Bucket(), Subject: "$KV." + names.Bucket(), Republish: names.KVRepublish(), Replicas: replicas,
	}
}

// bucketStream is the stream that we create for a bucket. Beside the keys it
// takes two subjects of ours: conditions hold only within one stream.
func bucketStream(names AppNames) jetstream.StreamConfig {
	c := bucketConfig(names, 0).config()
	c.Description = "key-value bucket of an app of go-cluster"
	c.Subjects = []string{c.Subjects[0], names.KVCheck(), names.KVEpoch()}
	c.MaxMsgsPerSubject = KVHistory
	c.AllowAtomicPublish = true
	return c
}

func verifyBucket(want jetstream.StreamConfig) func(json.RawMessage) error {
	return func(have json.RawMessage) error { return verify(have, want, "a bucket", MaxKVValue+kvOverhead) }
}

// takesBatches says whether a stream takes atomic batches. Servers before 2.12
// have none.
func takesBatches(config json.RawMessage) bool {
	var have jetstream.StreamConfig
	return json.Unmarshal(config, &have) == nil && have.AllowAtomicPublish
}

// largest is the largest value that the servers take.
func (b *Bucket) largest() int {
	return int(max(0, min(MaxKVValue, b.r.s.c.nc.MaxPayload()-kvOverhead)))
}

func (b *Bucket) check(key string, value []byte) error {
	if err := checkBucketKey(key); err != nil {
		return err
	}
	if most := b.largest(); len(value) > most {
		return fmt.Errorf("%w: the value has %d bytes, the most is %d: store large values elsewhere, or in parts",
			pluginapi.ErrTooLarge, len(value), most)
	}
	return nil
}

func checkRevision(at uint64) error {
	if at == 0 {
		return fmt.Errorf("%w: revision 0: to write a key that has no value, use Create", pluginapi.ErrInvalid)
	}
	return nil
}

// checkBucketKey refuses what NATS KV does not allow as a key, and what is too
// long.
func checkBucketKey(key string) error { return checkBucketTokens("key", key, false) }

// checkBucketPattern allows "*" as a part, and ">" as the last one.
func checkBucketPattern(pattern string) error { return checkBucketTokens("pattern", pattern, true) }

// checkPrefix allows what a key can begin with.
func checkPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	return checkBucketTokens("prefix", prefix+"x", false)
}

func checkBucketTokens(kind, name string, wild bool) error {
	return tokens{kind, bucketByte, "- _ / =", wild}.check(name)
}

func bucketByte(c byte) bool { return keyByte(c) || c == '/' || c == '=' }
