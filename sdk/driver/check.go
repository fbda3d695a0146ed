package driver

import (
	"context"

	extensionv1 "github.com/droverhq/drover/sdk/proto/extension/v1"
	"github.com/droverhq/drover/sdk/schema"
)

// WithConfigCheck is for drivers whose task config has rules that a schema cannot say. Hosts with the extension ask
// before anything is created; the SDK also asks before Start.
type WithConfigCheck[C any] interface {
	CheckConfig(ctx context.Context, config C) schema.Diagnostics
}

// configCheck serves the extension of that name.
type configCheck[C any] struct {
	check func(ctx context.Context, config C) schema.Diagnostics
}

func (s configCheck[C]) CheckTaskConfig(ctx context.Context, req *extensionv1.CheckTaskConfigRequest) (*extensionv1.CheckTaskConfigResponse, error) {
	var config C
	if err := schema.Decode(req.GetMsgpackConfig(), &config); err != nil {
		return nil, err
	}
	resp := &extensionv1.CheckTaskConfigResponse{}
	for _, d := range s.check(ctx, config) {
		resp.Diagnostics = append(resp.Diagnostics, d.Proto())
	}
	return resp, nil
}
