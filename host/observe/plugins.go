package observe

import "github.com/prometheus/client_golang/prometheus"

// PluginFigure is what a node has counted of a plugin since it was started.
type PluginFigure struct {
	Plugin                 string
	Calls, Errors, Restart uint64
	Memory                 int64 // bytes of its guests that live
}

// pluginSource is a [Source] whose node has plugins.
type pluginSource interface {
	PluginFigures() []PluginFigure
}

// pluginDescs describe the figures of plugins. There are as many as a platform
// may have plugins, so that their names need no other bound.
type pluginDescs struct{ calls, errors, restarts, memory *prometheus.Desc }

func newPluginDescs() pluginDescs {
	d := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("gc_plugin_"+name, help, []string{"platform", "node", "plugin"}, nil)
	}
	return pluginDescs{
		calls:    d("calls_total", "Calls of the plugin."),
		errors:   d("errors_total", "Calls of the plugin that ended with an error."),
		restarts: d("restarts_total", "Times that a guest or a process of the plugin was replaced."),
		memory:   d("memory_bytes", "Memory of the plugin's guests, or of its process."),
	}
}

func (p pluginDescs) all() []*prometheus.Desc {
	return []*prometheus.Desc{p.calls, p.errors, p.restarts, p.memory}
}

func (p pluginDescs) collect(ch chan<- prometheus.Metric, src Source, platform, node string) {
	s, ok := src.(pluginSource)
	if !ok {
		return
	}
	for _, f := range s.PluginFigures() {
		count := func(d *prometheus.Desc, v uint64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), platform, node, f.Plugin)
		}
		count(p.calls, f.Calls)
		count(p.errors, f.Errors)
		count(p.restarts, f.Restart)
		ch <- prometheus.MustNewConstMetric(p.memory, prometheus.GaugeValue, float64(f.Memory), platform, node, f.Plugin)
	}
}
