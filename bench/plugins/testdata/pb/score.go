package pb

// Answer scores the candidates of a question as package score does, or, where it
// has none, those that came last, which it keeps in held.
func Answer(q *Question, held *[]*Candidate) *Scores {
	if len(q.Candidates) > 0 {
		*held = q.Candidates
	}
	scores := make([]int64, len(*held))
	for i, c := range *held {
		scores[i] = score(q, c)
	}
	return &Scores{Scores: scores}
}

func score(q *Question, c *Candidate) int64 {
	if c.Cordoned || !c.Healthy {
		return -1
	}
	for _, l := range q.Requires {
		if !has(c.Labels, l) {
			return -1
		}
	}
	sum := c.MemFree>>30 - c.Leads
	for _, l := range q.Prefers {
		if has(c.Labels, l) {
			sum += 100
		}
	}
	return max(0, sum)
}

func has(labels []*Label, want *Label) bool {
	for _, l := range labels {
		if l.Key == want.Key {
			return l.Value == want.Value
		}
	}
	return false
}
