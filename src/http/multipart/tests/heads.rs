//! What a part is called, and which heads are refused.

use super::*;

#[test]
fn boundaries_are_read_from_the_content_type() {
    let longest = "b".repeat(70);
    for (content_type, expected) in [
        ("multipart/form-data; boundary=abc", "abc"),
        ("multipart/form-data;boundary=aBc", "aBc"),
        ("Multipart/Form-Data; Boundary=aBc", "aBc"),
        (" multipart/form-data; charset=utf-8; boundary=\"a b:c/d=e?\" ", "a b:c/d=e?"),
        ("multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxk", "----WebKitFormBoundary7MA4YWxk"),
        (
            "multipart/form-data; boundary=------------------------c616e5fded96a3c7",
            "------------------------c616e5fded96a3c7",
        ),
        (&format!("multipart/form-data; boundary={longest}"), &longest),
    ] {
        assert_eq!(boundary(content_type).unwrap().unwrap(), expected, "{content_type}");
    }
    for other in [
        "",
        "multipart",
        "multipart/mixed; boundary=abc",
        "multipart/form-datas; boundary=a",
        "text/plain",
        "form-data",
    ] {
        assert!(boundary(other).is_none(), "{other}");
    }
    for (content_type, problem) in [
        ("multipart/form-data", "is missing"),
        ("multipart/form-data; charset=utf-8", "is missing"),
        ("multipart/form-data; boundary=\"\"", "cannot be parsed"),
        ("multipart/form-data; boundary=", "is empty"),
        ("multipart/form-data; boundary=\"a \"", "ends with a blank"),
        ("multipart/form-data; boundary=\"a{b\"", "has a character that is not allowed"),
        ("multipart/form-data; boundary=ä", "cannot be parsed"),
        ("multipart/form-data; boundary=\"a", "cannot be parsed"),
        (&format!("multipart/form-data; boundary={longest}b"), "is longer than 70 bytes"),
    ] {
        let error = boundary(content_type).unwrap().unwrap_err();
        assert_eq!(error.to_string(), format!("the boundary of the multipart body {problem}"), "{content_type}");
    }
    let unchecked = parse_from(&b"--\r\n--"[..], "\r\n");
    assert!(matches!(unchecked, Err(PartsError::Body(MultipartError::Boundary(_)))));
}

#[test]
fn parts_come_in_order_with_their_heads() {
    let body = "preamble, to be ignored\r\n\
        --boundary\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nsecret\r\n\
        --boundary\r\ncontent-disposition:form-data;name=plain ; x=y\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\r\n\
        --boundary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.zip\"\r\n\
        Content-Type: application/octet-stream\r\n\r\nPK\r\n\r\n\
        --boundary\r\nContent-Disposition: form-data; name=\"json\"\r\nContent-Type: application/json\r\n\r\n{}\r\n\
        --boundary--\r\nepilogue\r\n--boundary\r\nContent-Disposition: form-data; name=\"late\"\r\n\r\n\r\n--boundary--";
    let mut json = field("json", b"{}");
    json.head.is_file = true;
    let expected = [field("token", b"secret"), field("plain", b""), file("file", "a.zip", b"PK\r\n"), json];
    assert_eq!(parse(body).unwrap(), expected);
    for size in [1, 2, 3, 7, 100] {
        assert_eq!(parse_from(Pieces::new(body.as_bytes(), &[size, 0]), BOUNDARY).unwrap(), expected);
    }
}

#[test]
fn names_are_what_the_client_meant() {
    let check = |parameters: &str, name: &str, filename: Option<&str>| {
        let body = format!("--boundary\r\nContent-Disposition: form-data; {parameters}\r\n\r\n\r\n--boundary--");
        let part = &parse(body).unwrap()[0];
        assert_eq!((part.head.name.as_str(), part.head.filename.as_deref()), (name, filename), "{parameters}");
        assert_eq!(part.head.is_file, filename.is_some(), "{parameters}");
    };
    check(r#"name="file"; filename="""#, "file", Some(""));
    check(r#"name="file"; filename="a;b.zip""#, "file", Some("a;b.zip"));
    check(r#"filename="a"; name="file""#, "file", Some("a"));
    check(r#"name="file"; filename="say \"a\\b\".zip""#, "file", Some(r#"say "a\b".zip"#));
    check(r#"name="file"; filename="C:\dir\a.zip""#, "file", Some(r"C:\dir\a.zip"));
    check(r#"name="Größe"; filename="日本.zip""#, "Größe", Some("日本.zip"));
    check(r#"name="file"; filename=../../etc/passwd;"#, "file", Some("../../etc/passwd"));
    check(r#"name="file"; filename*=utf-8''a"#, "file", Some("a"));
    check(r#"name=file; filename=a name.zip"#, "file", Some("a name.zip"));
}

#[test]
fn broken_heads_are_refused() {
    let check = |head: &str, problem: &str| {
        let body = format!("--boundary\r\n{head}\r\n\r\ndata\r\n--boundary--");
        assert_eq!(complaint(parse(body)), format!("the multipart body {problem}"), "{head:?}");
    };
    check("", "is malformed: a part has no header");
    check("Content-Type: text/plain", "is malformed: a part has no Content-Disposition");
    check("Content-Disposition: form-data", "is malformed: a part has no name");
    check("Content-Disposition: form-data; filename=\"x\"", "is malformed: a part has no name");
    check("Content-Disposition: form-data; name=\"\"", "is malformed: a part has no name");
    check("Content-Disposition: attachment; name=\"x\"", "is malformed: a part's Content-Disposition is not form-data");
    check("Content-Disposition: form-data; name", "is malformed: a part's Content-Disposition cannot be parsed");
    check("Content-Disposition: form-data; name=\"x", "is malformed: a part's Content-Disposition cannot be parsed");
    check("Content-Disposition: form-data; name=\"x\"y", "is malformed: a part's Content-Disposition cannot be parsed");
    check(
        "Content-Disposition: form-data; name=\"x\"; name=\"y\"",
        "is malformed: a part has two names or two file names",
    );
    let good = "Content-Disposition: form-data; name=\"x\"";
    check(&format!("{good}\r\n{good}"), "is malformed: a part has two Content-Dispositions");
    check(&format!("{good}\r\nContent-Type: nonsense"), "is malformed: a part's header cannot be parsed");
    check(&format!("{good}\r\nno colon"), "is malformed: a part's header cannot be parsed");
    check(&format!("{good}\r\n folded: x"), "is malformed: a part's header cannot be parsed");
    check(&format!("{good}\nX: y"), "is malformed: a line of a part's header has a CR or LF inside");
    check(&format!("{good}\n\nX: y"), "is malformed: a line of a part's header has a CR or LF inside");
    check(&format!("{good}\r\n--boundary"), "is malformed: a part ends inside its header");
    check(&format!("{good}\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4"), "has a part with more than 4 header lines");
    let four = format!("--boundary\r\n{good}\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n\r\n--boundary--");
    assert_eq!(parse(four).unwrap(), [field("x", b"")]);
    let mut latin = b"--boundary\r\nContent-Disposition: form-data; name=\"\xe4\"\r\n\r\n\r\n--boundary--".to_vec();
    assert_eq!(complaint(parse(&latin)), "the multipart body is malformed: a part's header is not UTF-8");
    latin.retain(u8::is_ascii);
    assert!(complaint(parse(&latin)).ends_with("a part has no name"));
}

#[test]
fn names_come_in_every_way_that_is_written() {
    for (written, expected) in [
        ("form-data; name=\"file\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.zip", Some("größe.zip")),
        ("form-data; name=\"file\"; filename*=utf-8'de'a%20b", Some("a b")),
        ("form-data; name=\"file\"; filename=\"plain\"; filename*=UTF-8''%e2%82%ac", Some("€")),
        ("form-data; name=\"file\"; filename*=UTF-8''%e2%82%ac; filename=\"plain\"", Some("€")),
        ("form-data; name=\"file\"; FileName*=\"ISO-8859-1''%e9\"", Some("é")),
        ("Form-Data; Name=\"file\"; FILENAME=\"a.zip\"", Some("a.zip")),
        ("FORM-DATA; name=file", None),
    ] {
        let body = format!("--boundary\r\nCONTENT-DISPOSITION: {written}\r\n\r\ndata\r\n--boundary--");
        let parts = parse(&body).unwrap_or_else(|error| panic!("{written}: {error}"));
        let head = &parts[0].head;
        assert_eq!((head.name.as_str(), head.filename.as_deref()), ("file", expected), "{written}");
    }
    for unreadable in ["UTF-8''%ff", "UTF-8''%4", "UTF-8'%41", "%41", "KOI8-R''%41"] {
        for (plain, expected) in [("", ""), ("filename=\"plain\"; ", "plain")] {
            let head = format!("Content-Disposition: form-data; name=\"file\"; {plain}filename*={unreadable}");
            let parts = parse(format!("--boundary\r\n{head}\r\n\r\ndata\r\n--boundary--")).unwrap();
            assert_eq!(parts[0].head.filename.as_deref(), Some(expected), "{head}");
            assert!(parts[0].head.is_file, "{head}");
        }
    }
}
