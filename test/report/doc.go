// Package report has an agent copy recordings that other programs made, and compares what its reports say with what those
// programs say of the files, in every form of a report. How a page looks is tested beside what makes it.
package report
