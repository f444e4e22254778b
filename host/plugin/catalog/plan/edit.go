package plan

import (
	"fmt"
	"slices"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// Install begins the first rollout of a plugin. A plugin that was removed, or
// whose first rollout was rolled back, can be installed again.
//
// # Errors
//
// ErrKeyExists when it is installed, ErrConflict when its first rollout is going
// on, ErrBusy when too many old packages wait to be deleted.
func (p Plugin) Install(name string, v Version) (Plugin, error) {
	if err := v.Check(); err != nil {
		return Plugin{}, err
	}
	if p.Rollout != nil {
		return Plugin{}, p.underWay(name)
	}
	if p.Current != "" {
		return Plugin{}, fmt.Errorf("%w: plugin %s is installed, in version %s: upgrade it", pluginapi.ErrKeyExists, name, p.label(p.Current))
	}
	p = p.clone()
	p.Name, p.Enabled = name, true
	return p.begin(v)
}

// Upgrade begins the rollout of another version.
//
// # Errors
//
// ErrPluginNotFound, ErrPluginDisabled; ErrConflict while a rollout is going on;
// ErrInvalid when the version is current already, when another package carries
// the same version, or when it has another contract; ErrBusy as of Install.
func (p Plugin) Upgrade(name string, v Version) (Plugin, error) {
	if err := errFirst(v.Check(), p.settled(name)); err != nil {
		return Plugin{}, err
	}
	current, _ := p.Find(p.Current)
	switch {
	case !p.Enabled:
		return Plugin{}, fmt.Errorf("%w: plugin %s: nothing could be compared with a version that does not run: enable it first, or remove it and install the new one", pluginapi.ErrPluginDisabled, name)
	case v.Digest == p.Current:
		return Plugin{}, fmt.Errorf("%w: plugin %s has version %s already, and this is the same package", pluginapi.ErrInvalid, name, v.Version)
	case v.Contract != current.Contract:
		return Plugin{}, fmt.Errorf("%w: plugin %s is a %s and this is a %s: install it under another name", pluginapi.ErrInvalid, name, current.Contract, v.Contract)
	}
	for _, o := range p.Versions {
		if o.Version == v.Version && o.Digest != v.Digest {
			return Plugin{}, fmt.Errorf("%w: another package of plugin %s has the version %s: give the new one a version of its own", pluginapi.ErrInvalid, name, v.Version)
		}
	}
	return p.clone().begin(v)
}

// begin starts a rollout; p is the caller's own.
func (p Plugin) begin(v Version) (Plugin, error) {
	if len(p.Garbage) > maxGarbage-maxVersions {
		return Plugin{}, fmt.Errorf("%w: %d old packages of plugin %s wait to be deleted: is a controller running?", pluginapi.ErrBusy, len(p.Garbage), p.Name)
	}
	if _, known := p.Find(v.Digest); !known {
		p.Versions = append(p.Versions, v)
	}
	p.Serial++
	p.Rollout = &Rollout{Phase: Canary, To: v.Digest}
	return p, nil
}

// Rollback goes back to the previous version on all nodes. While a rollout is
// going on, it ends that one.
//
// # Errors
//
// ErrPluginNotFound; ErrPluginDisabled; ErrInvalid when there is no previous
// version.
func (p Plugin) Rollback(name string) (Plugin, error) {
	switch {
	case !p.Installed():
		return Plugin{}, notFound(name)
	case p.Rollout != nil:
		return p.clone().abort("somebody asked for it"), nil
	case !p.Enabled:
		return Plugin{}, fmt.Errorf("%w: plugin %s: enable it first", pluginapi.ErrPluginDisabled, name)
	case p.Previous == "":
		return Plugin{}, fmt.Errorf("%w: plugin %s has no previous version to go back to", pluginapi.ErrInvalid, name)
	}
	p = p.clone()
	p.Serial++
	p.Rollout = &Rollout{Phase: Prepare, To: p.Previous}
	return p, nil
}

// Remove takes the plugin from all nodes. A rollout ends with it.
//
// # Errors
//
// ErrPluginNotFound.
func (p Plugin) Remove(name string) (Plugin, error) {
	if !p.Installed() {
		return Plugin{}, notFound(name)
	}
	p = p.clone()
	for _, v := range p.Versions {
		p.Garbage = append(p.Garbage, v.Blob)
	}
	p.Versions, p.Current, p.Previous, p.Enabled, p.Rollout, p.Last = nil, "", "", false, nil, nil
	p.Serial++
	return p, nil
}

// SetEnabled turns the plugin on or off on all nodes. Turning it off ends a
// rollout: that version is rolled back.
//
// # Errors
//
// ErrPluginNotFound; ErrConflict to turn off what has no current version yet.
func (p Plugin) SetEnabled(name string, on bool) (Plugin, error) {
	if !p.Installed() {
		return Plugin{}, notFound(name)
	}
	if p.Current == "" && !on {
		return Plugin{}, p.underWay(name)
	}
	p = p.clone()
	if p.Rollout != nil && !on {
		p = p.abort("the plugin was disabled")
	}
	p.Enabled = on
	return p, nil
}

// settled refuses a plugin that is not there, or is being changed.
func (p Plugin) settled(name string) error {
	switch {
	case !p.Installed():
		return notFound(name)
	case p.Rollout != nil:
		return p.underWay(name)
	}
	return nil
}

func notFound(name string) error {
	return fmt.Errorf("%w: %s: see what is installed with gchost plugin list", pluginapi.ErrPluginNotFound, name)
}

// underWay says which rollout keeps another one from beginning.
func (p Plugin) underWay(name string) error {
	where := ""
	if n := p.Rollout.Node; n != "" {
		where = ", canary " + n
	}
	return fmt.Errorf("%w: plugin %s is on its way from version %s to %s (%s%s): wait for it, or end it with gchost plugin rollback %s",
		pluginapi.ErrConflict, name, orNone(p.label(p.Current)), p.label(p.Rollout.To), p.Rollout.Phase, where, name)
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

func errFirst(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (p Plugin) clone() Plugin {
	p.Versions, p.Garbage = slices.Clone(p.Versions), slices.Clone(p.Garbage)
	if p.Rollout != nil {
		r := *p.Rollout
		p.Rollout = &r
	}
	return p
}

// abort ends the rollout without its version; p is the caller's own.
func (p Plugin) abort(reason string) Plugin {
	p.Last = &Outcome{From: p.label(p.Current), To: p.label(p.Rollout.To), Reason: clip(reason)}
	p.Rollout = nil
	return p.tidy()
}

// finish makes the rollout's version the current one; p is the caller's own.
func (p Plugin) finish() Plugin {
	p.Last = &Outcome{From: p.label(p.Current), To: p.label(p.Rollout.To), Done: true}
	p.Previous, p.Current, p.Rollout = p.Current, p.Rollout.To, nil
	return p.tidy()
}

// tidy forgets the versions that nobody can go to any more.
func (p Plugin) tidy() Plugin {
	var kept []Version
	for _, v := range p.Versions {
		if v.Digest == p.Current || v.Digest == p.Previous {
			kept = append(kept, v)
		} else {
			p.Garbage = append(p.Garbage, v.Blob)
		}
	}
	p.Versions = kept
	return p
}
