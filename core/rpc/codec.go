package rpc

import (
	"bytes"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
)

// MaxMessage bounds one message in either direction, in bytes. A larger one is refused by the receiver before it is
// decoded.
const MaxMessage = 64 << 20

// codec encodes messages as msgpack maps keyed by field name: a field added later is ignored by an older reader, a
// field that is gone decodes to nothing.
type codec struct{}

func (codec) Name() string { return "drover-msgpack" }

func (codec) Marshal(v any) ([]byte, error) {
	b, err := Encode(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	return b, nil
}

func (codec) Unmarshal(data []byte, v any) error {
	if err := Decode(data, v); err != nil {
		return fmt.Errorf("decode %T: %w", v, err)
	}
	return nil
}

// Encode is the encoding of messages; state and log entries use it too.
func Encode(v any) ([]byte, error) { return AppendEncoded(nil, v) }

// AppendEncoded is Encode behind what is in dst.
func AppendEncoded(dst []byte, v any) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	enc := msgpack.GetEncoder()
	defer msgpack.PutEncoder(enc)
	enc.Reset(buf)
	enc.SetOmitEmpty(true)
	enc.UseCompactInts(true)
	enc.UseCompactFloats(true)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// Decode reads what Encode wrote.
func Decode(data []byte, v any) error {
	dec := msgpack.GetDecoder()
	defer msgpack.PutDecoder(dec)
	dec.Reset(bytes.NewReader(data))
	dec.UseLooseInterfaceDecoding(true)
	return dec.Decode(v)
}
