package main

import (
	"slices"
	"strconv"
	"time"
	_ "time/tzdata" // a guest has no files

	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
)

// maxLength is that of a window: its begin is looked for minute by minute.
const maxLength = 7 * 24 * time.Hour

var _ = newPlugin()

func main() {}

// window is a span of time that comes again.
type window struct {
	starts cron
	lasts  time.Duration
}

// hook is the plugin's configuration.
type hook struct {
	windows []window
	zone    *time.Location
	inside  bool // what is allowed is allowed inside of the windows, not outside
	warn    bool // tell, and let it happen
	events  []string
	apps    []string // empty: all
}

func newPlugin() *sdk.Guest {
	h := &hook{}
	return sdk.Hook(sdk.About{Name: "maintenance-window", Version: "1.0.0", Configure: h.configure}, h.handle,
		sdk.MigrationStart, sdk.Start, sdk.Active, sdk.Own)
}

func invalid(text string) error { return sdk.Fail(string(sdk.ErrInvalid), text) }

func (h *hook) configure(c *sdk.Config) (err error) {
	h.events = []string{string(sdk.MigrationStart)}
	if c.Has("events") {
		h.events = c.Texts("events")
	}
	h.apps = c.Texts("apps")
	allow, otherwise, zone := c.Text("allow", "inside"), c.Text("otherwise", "reject"), c.Text("zone", "UTC")
	h.inside, h.warn = allow == "inside", otherwise == "warn"
	if allow != "inside" && allow != "outside" || otherwise != "reject" && otherwise != "warn" {
		return invalid(`allow is "inside" or "outside", otherwise "reject" or "warn"`)
	}
	if h.zone, err = time.LoadLocation(zone); err != nil || zone == "Local" {
		return invalid("zone: " + strconv.Quote(zone) + " is not known: write UTC, or a name such as Europe/Berlin")
	}
	h.windows = nil
	for i, w := range c.Subs("windows") {
		at := "windows[" + strconv.Itoa(i) + "]."
		starts, err := parseCron(w.Text("starts", ""))
		if err != nil && c.Err() == nil {
			return invalid(at + "starts: " + err.Error())
		}
		lasts, err := time.ParseDuration(w.Text("lasts", ""))
		if c.Err() == nil && (err != nil || lasts < time.Minute || lasts > maxLength) {
			return invalid(at + `lasts: write 1m to 168h, as in "6h" or "1h30m"`)
		}
		h.windows = append(h.windows, window{starts, lasts})
	}
	if len(h.windows) == 0 && c.Err() == nil {
		return invalid("windows: give at least one")
	}
	return nil
}

func (h *hook) handle(c *sdk.Call, e sdk.Event) error {
	if !slices.Contains(h.events, string(e.Kind)) || len(h.apps) > 0 && !slices.Contains(h.apps, e.App) {
		return nil
	}
	now, err := c.Now()
	if err != nil {
		return err
	}
	if h.open(now) == h.inside {
		return nil
	}
	where := map[bool]string{true: "outside of", false: "inside of"}[h.inside]
	text := string(e.Kind) + " of " + e.App + " is not allowed " + where + " the windows, and it is " + now.In(h.zone).Format("Mon 15:04 MST")
	if h.warn {
		c.Warn(text, "from", e.From, "to", e.To, "reason", e.Reason)
		return nil
	}
	return sdk.Reject(text)
}

// open says whether a window is, now. A begin that the clock jumps over in spring
// does not happen; one that comes twice in autumn happens twice.
func (h *hook) open(now time.Time) bool {
	minute := now.Truncate(time.Minute)
	for i := range h.windows {
		w := &h.windows[i]
		for at := minute; now.Sub(at) < w.lasts; at = at.Add(-time.Minute) {
			if w.starts.matches(at.In(h.zone)) {
				return true
			}
		}
	}
	return false
}
