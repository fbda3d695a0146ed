package state

import (
	"iter"

	"github.com/droverhq/drover/core/model"
)

// IntroToken returns one of the tokens that new nodes join with, nil if there is none.
func (s *Snapshot) IntroToken(id string) *model.IntroToken {
	return one[*model.IntroToken](s, TableIntroTokens, byID, id)
}

// IntroTokens lists them.
func (s *Snapshot) IntroTokens() iter.Seq[*model.IntroToken] {
	return each[*model.IntroToken](s, TableIntroTokens, byID)
}

// UpsertIntroToken stores a token.
func (tx *Txn) UpsertIntroToken(token *model.IntroToken) {
	t := *token
	t.CreateIndex, t.ModifyIndex = tx.index, tx.index
	if old := tx.IntroToken(t.ID); old != nil {
		t.CreateIndex = old.CreateIndex
	}
	tx.insert(TableIntroTokens, &t)
}

// DeleteIntroToken forgets a token.
func (tx *Txn) DeleteIntroToken(id string) {
	if t := tx.IntroToken(id); t != nil {
		tx.remove(TableIntroTokens, t)
	}
}
