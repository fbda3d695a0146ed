package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/droverhq/drover/sdk/driver"
	"github.com/droverhq/drover/sdk/host"
	"github.com/droverhq/drover/sdk/plugin"
)

func driverChecks() []check {
	return []check{
		{name: "driver/init", of: plugin.TypeDriver, run: checkInit,
			reason: "hosts initialise a driver after SetConfig and after every reattach"},
		{name: "driver/fingerprint-immediate", of: plugin.TypeDriver, run: checkFingerprint,
			reason: "a node registers when its drivers have spoken"},
		{name: "driver/fingerprint-stays-open", of: plugin.TypeDriver, run: checkFingerprintStays,
			reason: "a stream that ends makes the driver unhealthy; a second listener must get its own first message"},
		{name: "driver/healthy", of: plugin.TypeDriver, run: checkHealthy,
			reason: "without health no task is placed here and the checks with tasks are skipped"},
		{name: "driver/capabilities", of: plugin.TypeDriver, run: checkCapabilities,
			reason: "hosts prepare directories, networks and logs as the driver says"},
		{name: "driver/task-config-schema", of: plugin.TypeDriver, run: checkTaskSchema,
			reason: "every job's config block is checked with it before anything is created"},
	}
}

// enough ends a stream that showed what it should.
var enough = errors.New("enough")

func firstFingerprint(ctx context.Context, d *host.Driver) (driver.Fingerprint, error) {
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	var first driver.Fingerprint
	err := d.Fingerprint(ctx, func(f driver.Fingerprint) error {
		first = f
		return enough
	})
	switch {
	case errors.Is(err, enough):
		return first, nil
	case err == nil:
		return first, errors.New("the stream ended without a fingerprint")
	case ctx.Err() != nil:
		return first, fmt.Errorf("no fingerprint within %s", promptly)
	}
	return first, err
}

func checkInit(ctx context.Context, s *session) error {
	d, err := s.driver(ctx)
	if err != nil {
		return err
	}
	return d.Init(ctx)
}

func checkFingerprint(ctx context.Context, s *session) error {
	d, err := s.driver(ctx)
	if err != nil {
		return err
	}
	f, err := firstFingerprint(ctx, d)
	if err != nil {
		return err
	}
	if f.Health != driver.Healthy && f.Description == "" {
		return warn(fmt.Errorf("it is %s and does not say why", f.Health))
	}
	for name, value := range f.Attributes {
		if err := value.Validate(); err != nil {
			return fmt.Errorf("attribute %s: %w", name, err)
		}
	}
	return nil
}

func checkFingerprintStays(ctx context.Context, s *session) error {
	d, err := s.driver(ctx)
	if err != nil {
		return err
	}
	return staysOpen(ctx, func(ctx context.Context, opened func()) error {
		return d.Fingerprint(ctx, func(driver.Fingerprint) error {
			opened()
			_, err := firstFingerprint(ctx, d) // somebody else listens too
			return err
		})
	})
}

// staysOpen runs a stream and fails if it ends by itself soon after it opened.
func staysOpen(ctx context.Context, stream func(ctx context.Context, opened func()) error) error {
	ctx, cancel := context.WithTimeout(ctx, promptly)
	defer cancel()
	err := stream(ctx, func() {
		time.AfterFunc(500*time.Millisecond, cancel) // an end that does not come cannot be waited for
	})
	if ctx.Err() != nil {
		return nil
	}
	if err == nil {
		err = io.EOF
	}
	return fmt.Errorf("the stream ended: %w", err)
}

func checkHealthy(ctx context.Context, s *session) error {
	d, err := s.driver(ctx)
	if err != nil {
		return err
	}
	f, err := firstFingerprint(ctx, d)
	if err != nil {
		return err
	}
	if f.Health != driver.Healthy {
		return skip("the driver is ", f.Health.String(), ": ", f.Description)
	}
	return nil
}

func checkCapabilities(ctx context.Context, s *session) error {
	d, err := s.driver(ctx)
	if err != nil {
		return err
	}
	c, err := d.Capabilities(ctx)
	if err != nil {
		return err
	}
	if c.FSIsolation.String() == "unknown" {
		return fmt.Errorf("file system isolation %d is not in the contract", c.FSIsolation)
	}
	for _, m := range c.NetworkModes {
		if m.String() == "unknown" {
			return fmt.Errorf("network mode %d is not in the contract", m)
		}
	}
	return nil
}

func checkTaskSchema(ctx context.Context, s *session) error {
	d, err := s.driver(ctx)
	if err != nil {
		return err
	}
	spec, err := d.TaskConfigSchema(ctx)
	if err != nil {
		return err
	}
	if spec == nil {
		return errors.New("there is none; a driver whose tasks take no config says so with an empty object")
	}
	if err := spec.Check(); err != nil {
		return err
	}
	if !spec.Validate(map[string]any{"no_driver_has_this_key": true}).HasErrors() {
		return warn(errors.New("the schema accepts any key, so misspelt ones are not found"))
	}
	return nil
}
