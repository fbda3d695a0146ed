package driver

import (
	"errors"

	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	structsv1 "github.com/droverhq/drover/sdk/proto/structs/v1"
	"github.com/droverhq/drover/sdk/proto/wire"
)

// statusOf turns an error into what travels. A marked error becomes FailedPrecondition with the mark as detail; any
// other keeps its text and becomes Unknown, as hosts expect.
func statusOf(err error) error {
	var marked *RecoverableError
	if !errors.As(err, &marked) {
		return err
	}
	detail, encodeErr := proto.Marshal(&structsv1.RecoverableError{Recoverable: marked.Recoverable})
	if encodeErr != nil {
		return err
	}
	return status.FromProto(&spb.Status{
		Code:    int32(codes.FailedPrecondition),
		Message: valid(err.Error()),
		Details: []*anypb.Any{{TypeUrl: wire.RecoverableErrorURL, Value: detail}},
	}).Err()
}
