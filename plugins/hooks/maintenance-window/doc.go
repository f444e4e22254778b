// Command maintenance-window is a hook plugin: it keeps apps where they are
// outside of the hours in which moving them is allowed.
package main
