package tasklog

import (
	"bytes"
	"context"
)

// Line is one line of a stream without its newline.
type Line struct {
	// Text is valid until the callback returns. A line of more than 64 KiB comes in pieces.
	Text []byte
	// Position is right behind the line (and its newline): where to go on after it.
	Position Position
}

// FollowLines reads like Read and hands over whole lines. What stands behind the last newline is handed over when reading
// ends without an error, or when the file it stands in is left.
func (r *Reader) FollowLines(ctx context.Context, o ReadOptions, fn func(Line) error) error {
	s := splitter{fn: fn}
	if err := r.Read(ctx, o, s.chunk); err != nil {
		return err
	}
	return s.flush()
}

// splitter cuts chunks into lines.
type splitter struct {
	fn   func(Line) error
	rest []byte // the beginning of a line whose end has not come yet
	at   Position
}

func (s *splitter) chunk(c Chunk) error {
	if c.Position.Index != s.at.Index {
		if err := s.flush(); err != nil {
			return err
		}
	}
	data := c.Data
	s.at = Position{Index: c.Position.Index, Offset: c.Offset}
	for len(data) > 0 {
		end := bytes.IndexByte(data, '\n')
		text := data
		if end >= 0 {
			text = data[:end]
		}
		if room := chunkSize - len(s.rest); len(text) > room {
			text, end = text[:room], -1
			s.rest = append(s.rest, text...)
			s.at.Offset += int64(len(text))
			data = data[len(text):]
			if err := s.flush(); err != nil {
				return err
			}
			continue
		}
		s.at.Offset += int64(len(text))
		data = data[len(text):]
		if end < 0 {
			s.rest = append(s.rest, text...)
			return nil
		}
		s.at.Offset++
		data = data[1:]
		if len(s.rest) > 0 {
			s.rest = append(s.rest, text...)
			text = s.rest
		}
		s.rest = s.rest[:0]
		if err := s.fn(Line{Text: text, Position: s.at}); err != nil {
			return err
		}
	}
	return nil
}

func (s *splitter) flush() error {
	if len(s.rest) == 0 {
		return nil
	}
	text := s.rest
	s.rest = s.rest[:0]
	return s.fn(Line{Text: text, Position: s.at})
}
