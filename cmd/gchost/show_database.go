package main

import (
	"fmt"

	"github.com/ozanturksever/go-cluster/host/control"
)

// showDatabases shows what each node knows of the database of an app.
func showDatabases(out *screen, a control.App) {
	var table [][]string
	for _, i := range a.Instances {
		if i.Database == nil {
			continue
		}
		d := *i.Database
		lag := "unknown"
		if d.Lag != nil {
			lag = fmt.Sprint(*d.Lag)
		}
		table = append(table, []string{i.Node, databaseRole(d), fmt.Sprintf("%d/%d", d.Epoch, d.TX), lag, d.Error})
	}
	if len(table) == 0 {
		return
	}
	out.gap()
	out.table("NODE,DATABASE,POSITION,LAG,ERROR", table)
	for _, i := range a.Instances {
		if i.Database == nil {
			continue
		}
		for _, file := range i.Database.Aside {
			out.linef("kept aside on %s: %s", i.Node, file)
		}
	}
}

func databaseRole(d control.Database) string {
	if d.Role == control.DatabaseFollowing && !d.Follows {
		return "behind"
	}
	return d.Role
}
