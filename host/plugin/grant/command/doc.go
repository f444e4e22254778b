// Package command runs the commands of backends that are plugins: those that the
// operator has defined by a name, with the arguments that he allows. No shell has
// a part in it. A command ends with its whole process group.
package command
