package rpc

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ozanturksever/go-cluster/pluginapi"
)

// A note says the same as the headers of the same question.
func TestNoteAndHeadersAgree(t *testing.T) {
	for _, q := range []Question{
		{Method: "echo", Node: "n1", Wait: time.Second},
		{Method: ".a..b/c:d_e-f.", ID: "a.b-c_d.", Node: "n-1", App: "web", Wait: 1500 * time.Millisecond},
		{Method: strings.Repeat("m", MaxMethod), ID: strings.Repeat("i", MaxID), Node: "n1", App: "a", Wait: maxWait, ToLeader: true},
		{Method: "m", Node: "n1", Wait: time.Millisecond, ToLeader: true, Epoch: maxEpoch},
	} {
		if !q.plain() {
			t.Fatalf("%+v is not plain", q)
		}
		byNote, err := readNote(q.note())
		byHeader, err2 := readQuestion(q.header())
		if err != nil || err2 != nil || !reflect.DeepEqual(byNote, byHeader) || !reflect.DeepEqual(byNote, q) {
			t.Errorf("%s\nnote   %+v %v\nheader %+v %v", q.note(), byNote, err, byHeader, err2)
		}
		if strings.ContainsAny(q.note(), ". \t*>") {
			t.Errorf("%q is not one token of a subject", q.note())
		}
	}
	for _, q := range []Question{{Once: true}, {Where: true}, {Cancel: "id"}, {Meta: map[string]string{"a": "b"}}} {
		if q.plain() {
			t.Errorf("a note cannot say %+v", q)
		}
	}
}

// What cannot be a note is refused.
func TestBadNotes(t *testing.T) {
	for _, note := range []string{
		"", ",", "1,,,,", "1,,,,,", "1,,,,,m,", "x,,,,,m", "-1,,,,,m", "1,x,,,,m", "1,99999999999999999999,,,,m", "1,,i d,,,m",
		"1,,,n~1,,m", "1,,,,web,m", "1,,,n1,w b,m", "1,,,,,mé", "1,,,,," + strings.Repeat("m", MaxMethod+1), "1,," + strings.Repeat("i", MaxID+1) + ",,,m",
	} {
		if q, err := readNote(note); !errors.Is(err, pluginapi.ErrInvalid) {
			t.Errorf("%.40q is %+v, %v", note, q, err)
		}
	}
}

func FuzzReadNote(f *testing.F) {
	for _, s := range []string{"1000,,id-1,n1,web,echo", "1,0,,,,~a~", "99999999999999999999,1,,,,m", ",,,,,", "1,2,3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, note string) {
		q, err := readNote(note)
		if err != nil {
			if !errors.Is(err, pluginapi.ErrInvalid) || len(err.Error()) > 2000 {
				t.Errorf("%v", err)
			}
			return
		}
		if CheckMethod(q.Method) != nil || q.Wait <= 0 || q.Wait > maxWait || q.Epoch > maxEpoch {
			t.Errorf("%+v", q)
		}
		if again, err := readNote(q.note()); err != nil || !reflect.DeepEqual(again, q) {
			t.Errorf("%+v came again as %+v, %v", q, again, err)
		}
	})
}
