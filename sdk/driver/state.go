package driver

import (
	"bytes"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
)

// encodeState writes a driver's state for the host to keep. Fields are stored by name, so that a newer or older state
// type reads what both know.
func encodeState(state any) ([]byte, error) {
	var b bytes.Buffer
	enc := msgpack.NewEncoder(&b)
	enc.SetCustomStructTag("codec")
	enc.UseCompactInts(true)
	if err := enc.Encode(state); err != nil {
		return nil, fmt.Errorf("encode task state: %w", err)
	}
	return b.Bytes(), nil
}

// decodeState reads a state into the struct that into points to. Unknown fields are ignored.
func decodeState(data []byte, into any) error {
	if len(data) == 0 {
		return nil
	}
	dec := msgpack.NewDecoder(bytes.NewReader(data))
	dec.SetCustomStructTag("codec")
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("decode task state: %w", err)
	}
	return nil
}
