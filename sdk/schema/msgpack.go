package schema

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

const (
	// maxTreeDepth bounds how deep a configuration nests.
	maxTreeDepth = 64
	// allocHint bounds what is allocated on the word of a length; the rest grows with what is really there.
	allocHint = 1 << 10
)

// parseMsgpack reads one value into a generic tree of nil, bool, int64, uint64 (above the range of int64), float64,
// string, []any and map[string]any. Text may come as str, bin or the raw type of older writers.
func parseMsgpack(data []byte) (any, error) {
	r := bytes.NewReader(data)
	dec := msgpack.NewDecoder(r)
	tree, err := readValue(dec, 1)
	if err != nil {
		return nil, err
	}
	return tree, nil
}

func readValue(dec *msgpack.Decoder, depth int) (any, error) {
	if depth > maxTreeDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxTreeDepth)
	}
	code, err := dec.PeekCode()
	if err != nil {
		return nil, err
	}
	switch {
	case code == msgpcode.Nil:
		return nil, dec.DecodeNil()
	case code == msgpcode.True || code == msgpcode.False:
		return dec.DecodeBool()
	case code == msgpcode.Float:
		f, err := dec.DecodeFloat32()
		return float64(f), err
	case code == msgpcode.Double:
		return dec.DecodeFloat64()
	case code == msgpcode.Uint64:
		n, err := dec.DecodeUint64()
		if int64(n) >= 0 {
			return int64(n), err
		}
		return n, err
	case msgpcode.IsString(code), msgpcode.IsBin(code):
		return dec.DecodeString()
	case msgpcode.IsFixedArray(code), code == msgpcode.Array16, code == msgpcode.Array32:
		return readArray(dec, depth)
	case msgpcode.IsFixedMap(code), code == msgpcode.Map16, code == msgpcode.Map32:
		return readMap(dec, depth)
	case msgpcode.IsExt(code):
		return nil, errors.New("extension types have no configuration form")
	}
	return dec.DecodeInt64()
}

func readArray(dec *msgpack.Decoder, depth int) (any, error) {
	n, err := dec.DecodeArrayLen()
	if err != nil {
		return nil, err
	}
	list := make([]any, 0, min(n, allocHint))
	for range n {
		x, err := readValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, x)
	}
	return list, nil
}

func readMap(dec *msgpack.Decoder, depth int) (any, error) {
	n, err := dec.DecodeMapLen()
	if err != nil {
		return nil, err
	}
	entries := make(map[string]any, min(n, allocHint))
	for range n {
		key, err := dec.DecodeString()
		if err != nil {
			return nil, fmt.Errorf("map key: %w", err)
		}
		if entries[key], err = readValue(dec, depth+1); err != nil {
			return nil, err
		}
	}
	return entries, nil
}
