package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/droverhq/drover/core/model"
)

// followDeployment prints each change of a roll-out until it ends or waits for a person. One that goes back to an older
// version is followed until that version runs. The error is an exit code: 1 when the roll-out did not succeed.
func (a *app) followDeployment(ctx context.Context, c *client, id string, verbose bool) error {
	d, err := a.watchDeployment(ctx, c, id, verbose)
	if err != nil {
		return err
	}
	switch {
	case d.Active() && d.Status == model.DeploymentPaused:
		fmt.Fprintf(a.Stdout, "    The deployment is paused; go on with `drover deployment resume %s`\n", short(id, verbose))
		return nil
	case d.Active():
		fmt.Fprintf(a.Stdout, "    Canaries are healthy; promote with `drover job promote %s`\n", d.JobID)
		return nil
	case d.Status == model.DeploymentSuccessful:
		return nil
	}
	failure := &exitError{1, fmt.Sprintf("Deployment %q ended with status %q: %s", short(id, verbose), d.Status, d.StatusDescription)}
	if !strings.Contains(d.StatusDescription, "rolling back to job version") || strings.Contains(d.StatusDescription, "not rolling back") {
		return failure
	}
	back, err := a.rollback(ctx, c, d)
	if err != nil || back == nil {
		return failure
	}
	if _, err := a.watchDeployment(ctx, c, back.ID, verbose); err != nil {
		return err
	}
	return failure
}

// rollbackWait is how long the roll-out that follows a failed one may take to appear.
const rollbackWait = 10 * time.Second

// rollback waits for the roll-out that brings an older version back; nil when it needs none.
func (a *app) rollback(ctx context.Context, c *client, failed *model.Deployment) (*model.Deployment, error) {
	ctx, cancel := context.WithTimeout(ctx, rollbackWait)
	defer cancel()
	var back *model.Deployment
	err := watch(ctx, c, "/v1/job/"+seg(failed.JobID)+"/deployment", query{"namespace": failed.Namespace}, func(d *model.Deployment) (bool, error) {
		if d != nil && d.CreateIndex > failed.CreateIndex {
			back = d
		}
		return back != nil, nil
	})
	return back, err
}

// watchDeployment prints a roll-out's progress and returns it as it is at the end, or where it waits for a person.
func (a *app) watchDeployment(ctx context.Context, c *client, id string, verbose bool) (*model.Deployment, error) {
	fmt.Fprintf(a.Stdout, "==> %s: Monitoring deployment %q\n", time.Now().Format(time.RFC3339), short(id, verbose))
	var last string
	var d *model.Deployment
	err := watch(ctx, c, "/v1/deployment/"+seg(id), nil, func(v *model.Deployment) (bool, error) {
		d = v
		if text := deploymentLines(d); text != last {
			fmt.Fprint(a.Stdout, text)
			last = text
		}
		return !d.Active() || d.Status == model.DeploymentPaused || needsPromotion(d), nil
	})
	return d, err
}

func deploymentEnded(ctx context.Context, c *client, id string) bool {
	var d model.Deployment
	_, err := c.get(ctx, "/v1/deployment/"+seg(id), nil, &d)
	return err == nil && !d.Active()
}

func needsPromotion(d *model.Deployment) bool {
	waiting := false
	for _, g := range d.TaskGroups {
		if g.DesiredCanaries == 0 {
			continue
		}
		if !g.Promoted && (g.AutoPromote || g.HealthyAllocs < g.DesiredCanaries) {
			return false
		}
		waiting = waiting || !g.Promoted
	}
	return waiting
}

// deploymentLines is how a roll-out stands: its description, and a bar for each group.
func deploymentLines(d *model.Deployment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "    %s\n", d.StatusDescription)
	for _, name := range sortedKeys(d.TaskGroups) {
		g := d.TaskGroups[name]
		fmt.Fprintf(&b, "      %-12s %s %d/%d healthy, %d placed", name, bar(g.HealthyAllocs, g.DesiredTotal), g.HealthyAllocs, g.DesiredTotal, g.PlacedAllocs)
		if g.UnhealthyAllocs > 0 {
			fmt.Fprintf(&b, ", %d unhealthy", g.UnhealthyAllocs)
		}
		if g.DesiredCanaries > 0 {
			fmt.Fprintf(&b, ", %d/%d canaries", len(g.PlacedCanaries), g.DesiredCanaries)
			if g.Promoted {
				b.WriteString(" promoted")
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

// bar shows how much of a whole is there, in 20 characters.
func bar(part, whole int) string {
	const width = 20
	n := width
	if whole > 0 {
		n = min(max(part, 0)*width/whole, width)
	}
	return "[" + strings.Repeat("#", n) + strings.Repeat(".", width-n) + "]"
}
