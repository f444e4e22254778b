package main

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	sdk "github.com/ozanturksever/go-cluster/sdk-wasm"
)

// secretName is the secret that deliveries are signed with.
const secretName = "webhook-key"

var _ = newPlugin()

func main() {}

// hook is the plugin's configuration.
type hook struct {
	url     string
	sign    bool
	timeout time.Duration
	events  []string
	apps    []string // empty: all
	headers []sdk.Header
}

// newPlugin wants every kind of event; which ones are sent is configuration.
func newPlugin() *sdk.Guest {
	h := &hook{}
	return sdk.Hook(sdk.About{Name: "webhook", Version: "1.0.0", Configure: h.configure}, h.handle)
}

// byDefault are events that tell what has happened already: nothing waits for
// the web server.
func byDefault() []string {
	return []string{
		string(sdk.LeaderChange), string(sdk.MemberJoin), string(sdk.MemberLeave),
		string(sdk.HealthChange), string(sdk.MigrationComplete), string(sdk.PlacementInvalid),
	}
}

func (h *hook) configure(c *sdk.Config) error {
	h.url = c.Text("url", "")
	h.sign = c.Bool("sign", true)
	h.apps = c.Texts("apps")
	h.events = byDefault()
	if c.Has("events") {
		h.events = c.Texts("events")
	}
	ms := c.Int("timeout_ms", 4000)
	h.timeout = time.Duration(ms) * time.Millisecond
	headers := c.Sub("headers")
	h.headers = nil
	for _, name := range headers.Keys() {
		h.headers = append(h.headers, sdk.Header{Name: name, Value: headers.Text(name, "")})
	}
	switch {
	case c.Err() != nil:
		return nil // the SDK tells it
	case h.url == "":
		return sdk.Fail(string(sdk.ErrInvalid), "url is missing: give the address that events are posted to")
	case ms < 1 || ms > 9000:
		return sdk.Fail(string(sdk.ErrInvalid), "timeout_ms: give 1 to 9000")
	}
	return nil
}

func (h *hook) wants(e *sdk.Event) bool {
	return slices.Contains(h.events, string(e.Kind)) && (len(h.apps) == 0 || e.App == "" || slices.Contains(h.apps, e.App))
}

// delivery is the body of a request.
type delivery struct {
	Type      string    `json:"type"`      // gchost. and the kind of the event
	Timestamp string    `json:"timestamp"` // of the event
	Data      sdk.Event `json:"data"`
}

func (h *hook) handle(c *sdk.Call, e sdk.Event) error {
	if !h.wants(&e) {
		return nil
	}
	body, err := json.Marshal(delivery{"gchost." + string(e.Kind), time.UnixMilli(e.Time).UTC().Format(time.RFC3339Nano), e})
	if err != nil {
		return sdk.Fail("webhook", "encode event: "+err.Error())
	}
	r := sdk.Request{Method: "POST", URL: h.url, Body: body, Timeout: h.timeout.Milliseconds()}
	if r.Headers, err = h.header(c, &e, body); err != nil {
		return err
	}
	answer, err := c.HTTP(r)
	if err != nil {
		return err
	}
	return judge(&answer)
}

// header is that of the Standard Webhooks specification, under the names that its
// libraries look for.
func (h *hook) header(c *sdk.Call, e *sdk.Event, body []byte) ([]sdk.Header, error) {
	now, err := c.Now()
	if err != nil {
		return nil, err
	}
	at := strconv.FormatInt(now.Unix(), 10)
	all := append([]sdk.Header{
		{Name: "content-type", Value: "application/json"},
		{Name: "user-agent", Value: "gchost-webhook/1"},
		{Name: "webhook-id", Value: headerText(e.ID)},
		{Name: "webhook-timestamp", Value: at},
	}, h.headers...)
	if !h.sign {
		return all, nil
	}
	secret, err := c.Secret(secretName)
	if err != nil {
		return nil, err
	}
	signature, err := signatureOf(secret, headerText(e.ID), at, body)
	if err != nil {
		return nil, err
	}
	return append(all, sdk.Header{Name: "webhook-signature", Value: signature}), nil
}

// headerText is an id as a header can carry it: it comes from whoever told the
// event.
func headerText(s string) string {
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
}

// judge makes an error of a status. What may pass by itself says so; how often it
// is tried again is the host's failure policy.
func judge(r *sdk.Response) error {
	status := strconv.FormatInt(r.Status, 10)
	switch {
	case r.Status >= 200 && r.Status < 300:
		return nil
	case r.Status >= 300 && r.Status < 400:
		return sdk.Fail("webhook refused", "the server redirects with "+status+": configure the address that it leads to")
	case r.Status >= 500, r.Status == 408, r.Status == 425, r.Status == 429:
		return sdk.Retry(sdk.Fail("webhook failed", "the server answers "+status))
	}
	return sdk.Fail("webhook refused", "the server answers "+status)
}
