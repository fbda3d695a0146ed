package consensus

import (
	"github.com/droverhq/drover/core/model"
	"github.com/droverhq/drover/core/rpc"
	"github.com/droverhq/drover/core/state"
)

// IntroTokens stores and forgets tokens that new nodes join with.
type IntroTokens struct {
	Stamp
	Upsert []*model.IntroToken
	Delete []string
}

// IntroduceNode registers a node that the servers do not know yet and spends a use of its token, both or neither. Its
// result is the *model.Node as stored.
type IntroduceNode struct {
	Stamp
	Registration RegisterNode
	TokenID      string
}

func (e *IntroTokens) apply(tx *state.Txn) (any, error) {
	for _, t := range e.Upsert {
		tx.UpsertIntroToken(t)
	}
	for _, id := range e.Delete {
		tx.DeleteIntroToken(id)
	}
	return nil, nil
}

func (e *IntroduceNode) apply(tx *state.Txn) (any, error) {
	if tx.Node(e.Registration.Node.ID) == nil { // else two registrations of one node were under way
		t := tx.IntroToken(e.TokenID)
		if t == nil {
			return nil, rpc.Errorf(rpc.ErrDenied, "introduction token %s was revoked", e.TokenID)
		}
		if why := t.Refuses(e.Registration.Node, e.at()); why != "" {
			return nil, rpc.Errorf(rpc.ErrDenied, "introduction token %s: %s", e.TokenID, why)
		}
		spent := *t
		spent.Uses--
		tx.UpsertIntroToken(&spent)
	}
	return e.Registration.apply(tx)
}
