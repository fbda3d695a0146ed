package device

import (
	"context"
	"reflect"
	"time"

	"google.golang.org/grpc"

	"github.com/droverhq/drover/sdk/plugin"
	devicev1 "github.com/droverhq/drover/sdk/proto/device/v1"
	extensionv1 "github.com/droverhq/drover/sdk/proto/extension/v1"
	"github.com/droverhq/drover/sdk/schema"
)

const (
	fingerprintInterval = 30 * time.Second
	fingerprintTimeout  = 30 * time.Second
	statsInterval       = time.Second
)

// New makes a plugin of a device, to be given to plugin.Serve or to plugintest.
func New(info Info, d Device) plugin.Plugin {
	s := &server{info: info, impl: d}
	s.closing, s.end = context.WithCancel(context.Background())
	return s
}

var (
	_ plugin.Plugin                   = (*server)(nil)
	_ extensionv1.DeviceReleaseServer = release{}
)

// server is a device plugin as it is served.
type server struct {
	info    Info
	impl    Device
	closing context.Context // ends with the plugin
	end     context.CancelFunc
}

func (s *server) Info() plugin.Info {
	return plugin.Info{Type: plugin.TypeDevice, Name: s.info.Name, Version: s.info.Version, APIVersions: []string{plugin.APIVersion}}
}

func (s *server) ConfigSchema() (*schema.Spec, error) {
	if w, ok := s.impl.(WithConfig); ok {
		return w.Config().Schema()
	}
	return nil, nil
}

// SetConfig drops the node's facts, as the contract has it for device plugins: only their presence is passed on.
func (s *server) SetConfig(ctx context.Context, raw *plugin.RawConfig) error {
	w, ok := s.impl.(WithConfig)
	if !ok {
		return nil
	}
	reduced := *raw
	if raw.Node != nil {
		reduced.Node = &plugin.NodeConfig{}
	}
	return w.Config().Apply(ctx, &reduced)
}

func (s *server) Register(r grpc.ServiceRegistrar) {
	devicev1.RegisterServer(r, service{s})
	if w, ok := s.impl.(WithRelease); ok {
		extensionv1.RegisterDeviceReleaseServer(r, release{w})
	}
}

func (s *server) Extensions() []string {
	if _, ok := s.impl.(WithRelease); ok {
		return []string{plugin.ExtensionDeviceRelease}
	}
	return nil
}

func (s *server) Detail() *extensionv1.CapabilityDetail {
	_, stats := s.impl.(WithStats)
	return &extensionv1.CapabilityDetail{Stats: stats}
}

func (s *server) Close() { s.end() }

// service answers the device contract.
type service struct{ *server }

// Fingerprint sends the devices: at once, then whenever they changed. An error ends the stream and with it the plugin's
// work on the node.
func (s service) Fingerprint(_ *devicev1.FingerprintRequest, stream grpc.ServerStreamingServer[devicev1.FingerprintResponse]) error {
	interval := fingerprintInterval
	if w, ok := s.impl.(WithFingerprintInterval); ok && w.FingerprintInterval() > 0 {
		interval = w.FingerprintInterval()
	}
	var last []Group
	sent := false
	return s.every(stream.Context(), interval, func() error {
		ctx, cancel := context.WithTimeout(stream.Context(), fingerprintTimeout)
		defer cancel()
		groups, err := s.impl.Fingerprint(ctx)
		if err != nil || sent && reflect.DeepEqual(groups, last) {
			return err
		}
		resp := &devicev1.FingerprintResponse{}
		for i := range groups {
			if err := groups[i].Validate(); err != nil {
				return err
			}
			resp.DeviceGroup = append(resp.DeviceGroup, groups[i].Proto())
		}
		last, sent = groups, true
		return stream.Send(resp)
	})
}

func (s service) Reserve(ctx context.Context, req *devicev1.ReserveRequest) (*devicev1.ReserveResponse, error) {
	r, err := s.impl.Reserve(ctx, &ReserveRequest{DeviceIDs: req.GetDeviceIds()})
	if err != nil {
		return nil, err
	}
	return &devicev1.ReserveResponse{ContainerRes: r.Proto()}, nil
}

// Stats sends samples: at once, then in the wanted interval. Plugins without statistics end the stream, which tells
// hosts that there are none.
func (s service) Stats(req *devicev1.StatsRequest, stream grpc.ServerStreamingServer[devicev1.StatsResponse]) error {
	w, ok := s.impl.(WithStats)
	if !ok {
		return nil
	}
	interval := req.GetCollectionInterval().AsDuration()
	if interval <= 0 {
		interval = statsInterval
	}
	return s.every(stream.Context(), interval, func() error {
		groups, err := w.Stats(stream.Context())
		if err != nil {
			return err
		}
		resp := &devicev1.StatsResponse{}
		for i := range groups {
			resp.Groups = append(resp.Groups, groups[i].Proto(time.Now()))
		}
		return stream.Send(resp)
	})
}

// every calls f at once and then in an interval, until the stream or the plugin ends or f fails.
func (s service) every(ctx context.Context, interval time.Duration, f func() error) error {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := f(); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closing.Done():
			return nil
		}
	}
}

// release serves the extension "device-release".
type release struct{ impl WithRelease }

func (r release) Release(ctx context.Context, req *extensionv1.DeviceReleaseRequest) (*extensionv1.DeviceReleaseResponse, error) {
	if err := r.impl.Release(ctx, req.GetDeviceIds()); err != nil {
		return nil, err
	}
	return &extensionv1.DeviceReleaseResponse{}, nil
}
