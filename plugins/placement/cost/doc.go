// Command cost is a placement plugin: it weighs what a node costs against how
// busy it is.
package main
