//! One tab of the browser: what a person does in it, what they see, and what went over the network meanwhile.

use super::{Line, PATIENCE};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

/// Between two looks at something that is to come.
const LOOK: Duration = Duration::from_millis(20);
/// The part of a long page that is worth a picture.
const PICTURE_HEIGHT_MAX: f64 = 3_000.0;

/// A tab. What happens in it goes on while nobody looks.
pub struct Tab {
    line: Rc<RefCell<Line>>,
    session: String,
    target: String,
    told: RefCell<Told>,
}

/// What the browser has told of a tab.
#[derive(Default)]
struct Told {
    transfers: Vec<Transfer>,
    by_id: HashMap<String, usize>,
    complaints: Vec<String>,
}

/// A request that a page made.
#[derive(Clone, Debug)]
pub struct Transfer {
    pub url: String,
    pub method: String,
    /// `Document`, `Stylesheet`, `Script`, `Fetch`...
    pub kind: String,
    /// None: not answered yet, or cut off.
    pub status: Option<u64>,
    pub is_from_cache: bool,
    /// On the wire, with the head; known when it has ended.
    pub bytes: Option<u64>,
    pub has_failed: bool,
}

/// A key: what it is called, what it types, and its number on Windows, which is what browsers go by.
fn key(name: &str) -> Value {
    let code = match name {
        "Enter" => 13,
        "Tab" => 9,
        "Escape" => 27,
        "End" => 35,
        "Home" => 36,
        "PageUp" => 33,
        "PageDown" => 34,
        "/" => 191,
        "?" => 191,
        _ => u32::from(name.bytes().next().unwrap().to_ascii_uppercase()),
    };
    let text = match name {
        "Enter" => "\r",
        _ if name.chars().count() == 1 => name,
        _ => "",
    };
    json!({"key": name, "text": text, "windowsVirtualKeyCode": code, "nativeVirtualKeyCode": code})
}

impl Tab {
    pub(super) fn of(line: Rc<RefCell<Line>>) -> Tab {
        let ask = |method: &str, params: Value| line.borrow_mut().ask(None, method, &params).unwrap();
        let target = ask("Target.createTarget", json!({"url": "about:blank"}));
        let target = target["targetId"].as_str().unwrap().to_owned();
        let attached = ask("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        let session = attached["sessionId"].as_str().unwrap().to_owned();
        let tab = Tab { line, session, target, told: RefCell::default() };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            tab.ask(&format!("{domain}.enable"), json!({}));
        }
        tab
    }

    #[track_caller]
    fn ask(&self, method: &str, params: Value) -> Value {
        self.line.borrow_mut().ask(Some(&self.session), method, &params).unwrap()
    }

    // What a person does.

    /// Opens an address, and returns when the page has loaded.
    #[track_caller]
    pub fn open(&self, url: &str) {
        let answer = self.ask("Page.navigate", json!({"url": url}));
        assert_eq!(answer.get("errorText"), None, "{url}");
        let url = url.split('#').next().unwrap_or(url);
        let loaded = format!("document.readyState == 'complete' && location.href.split('#')[0] == {}", json!(url));
        self.wait(&loaded);
    }

    /// Opens an address that leads on to another one, and returns when that has loaded.
    #[track_caller]
    pub fn follow(&self, url: &str) {
        let answer = self.ask("Page.navigate", json!({"url": url}));
        assert_eq!(answer.get("errorText"), None, "{url}");
        self.wait("location.href != 'about:blank' && document.readyState == 'complete'");
    }

    /// Presses the left button of the mouse on the middle of an element, which must be there and not be covered.
    #[track_caller]
    pub fn click(&self, selector: &str) {
        // The page may move until the pointer is there.
        for _ in 0..20 {
            let at = self.middle_of(selector);
            assert_eq!(at["seen"], true, "{selector} is covered by {}", at["top"]);
            self.point(&at);
            let still = self.middle_of(selector);
            if (&still["x"], &still["y"]) == (&at["x"], &at["y"]) {
                for kind in ["mousePressed", "mouseReleased"] {
                    self.ask("Input.dispatchMouseEvent", mouse(kind, &at));
                }
                return;
            }
        }
        panic!("{selector} does not stand still");
    }

    /// Where the middle of an element is, once it is there, and whether it is seen there.
    #[track_caller]
    fn middle_of(&self, selector: &str) -> Value {
        self.wait(&format!(
            "(() => {{ const e = document.querySelector({selector}); if (!e) return null;
               e.scrollIntoView({{block: 'center', behavior: 'instant'}});
               const r = e.getClientRects()[0], x = r.x + r.width / 2, y = r.y + r.height / 2;
               const top = document.elementFromPoint(x, y);
               return {{x, y, seen: e.contains(top), top: top && top.outerHTML.slice(0, 200)}}; }})()",
            selector = json!(selector)
        ))
    }

    /// Moves the mouse.
    fn point(&self, at: &Value) {
        self.ask("Input.dispatchMouseEvent", mouse("mouseMoved", at));
    }

    /// Moves the mouse to the middle of an element.
    #[track_caller]
    pub fn hover(&self, selector: &str) {
        self.point(&self.middle_of(selector));
    }

    /// Turns the wheel of the mouse over the middle of the page; downwards is positive.
    pub fn wheel(&self, pixels: i32) {
        let event = json!({"type": "mouseWheel", "x": 200, "y": 300, "deltaX": 0, "deltaY": pixels});
        self.ask("Input.dispatchMouseEvent", event);
    }

    /// Presses keys, one after another: letters, or names such as `Enter`.
    pub fn press(&self, keys: &[&str]) {
        for name in keys {
            let key = key(name);
            for kind in ["keyDown", "keyUp"] {
                let mut event = key.clone();
                event["type"] = kind.into();
                if kind == "keyUp" {
                    event["text"] = "".into();
                }
                self.ask("Input.dispatchKeyEvent", event);
            }
        }
    }

    /// Types into what has the focus.
    pub fn type_text(&self, text: &str) {
        self.ask("Input.insertText", json!({"text": text}));
    }

    /// Puts this tab before the others, which are then hidden.
    pub fn show(&self) {
        self.line.borrow_mut().ask(None, "Target.activateTarget", &json!({"targetId": self.target})).unwrap();
    }

    pub fn close(self) {
        self.line.borrow_mut().ask(None, "Target.closeTarget", &json!({"targetId": self.target})).unwrap();
    }

    // How the page is looked at.

    /// The window's size; below 620 it is a phone's.
    pub fn size(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 620});
        self.ask("Emulation.setDeviceMetricsOverride", size);
    }

    pub fn dark(&self, is_dark: bool) {
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([
            {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}
        ]);
        self.ask("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    pub fn zone(&self, name: &str) {
        self.ask("Emulation.setTimezoneOverride", json!({"timezoneId": name}));
    }

    /// From the next page on, scripts are not run.
    pub fn without_script(&self) {
        self.ask("Emulation.setScriptExecutionDisabled", json!({"value": true}));
    }

    pub fn offline(&self, is_offline: bool) {
        let network = json!({"offline": is_offline, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1});
        self.ask("Network.emulateNetworkConditions", network);
    }

    // What is seen.

    /// The value of an expression, or of the promise that it is.
    pub fn evaluate(&self, expression: &str) -> Result<Value, String> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.line.borrow_mut().ask(Some(&self.session), "Runtime.evaluate", &params)?;
        match answer.get("exceptionDetails") {
            None => Ok(answer["result"]["value"].take()),
            Some(thrown) => Err(format!("{}: {:.300}", thrown["text"], thrown["exception"]["description"])),
        }
    }

    /// The value of an expression that must have one.
    #[track_caller]
    pub fn value(&self, expression: &str) -> Value {
        self.evaluate(expression).unwrap_or_else(|error| panic!("{expression:.300}: {error}"))
    }

    /// A number that an expression is.
    #[track_caller]
    pub fn number(&self, expression: &str) -> f64 {
        self.value(expression).as_f64().unwrap_or_else(|| panic!("no number: {expression}"))
    }

    /// The text of the first such element, as it is shown.
    #[track_caller]
    pub fn text(&self, selector: &str) -> String {
        let value = self.wait(&format!("(e => e && [e.innerText])(document.querySelector({}))", json!(selector)));
        value[0].as_str().unwrap_or_default().to_owned()
    }

    /// The value of an expression, once it is true as JavaScript sees it. While a page changes, it may throw.
    #[track_caller]
    pub fn wait(&self, expression: &str) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = self.evaluate(expression);
            if let Ok(value) = &found
                && !matches!(value, Value::Null | Value::Bool(false))
                && value.as_str() != Some("")
                && value.as_f64() != Some(0.0)
            {
                return found.unwrap_or_default();
            }
            if Instant::now() > deadline {
                let page = self.evaluate("location.href + '\\n' + document.body.innerText.slice(0, 1500)");
                let complaints = self.complaints();
                panic!("waited in vain for {expression:.300}: {found:?} on {page:?}; {complaints:?}");
            }
            thread::sleep(LOOK);
        }
    }

    /// Writes what is seen, from the page's top on, to `target/page/NAME.png`.
    pub fn screenshot(&self, name: &str) -> PathBuf {
        let size = self.ask("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
        let height = size["height"].as_f64().unwrap().min(PICTURE_HEIGHT_MAX);
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1});
        self.picture(name, json!({"format": "png", "captureBeyondViewport": true, "clip": clip}))
    }

    /// Writes what the window shows now to `target/page/NAME.png`.
    pub fn screenshot_of_window(&self, name: &str) -> PathBuf {
        self.picture(name, json!({"format": "png"}))
    }

    fn picture(&self, name: &str, how: Value) -> PathBuf {
        let picture = self.ask("Page.captureScreenshot", how);
        let bytes = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/page");
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}.png"));
        std::fs::write(&file, bytes).unwrap();
        file
    }

    /// By how much the page is wider than the window.
    pub fn overflow(&self) -> f64 {
        self.number("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    }

    // What the browser tells.

    /// The requests since the last [`Tab::forget`], but for pictures that lie in the page itself.
    pub fn transfers(&self) -> Vec<Transfer> {
        self.hear();
        self.told.borrow().transfers.clone()
    }

    /// What the console says: breaches of the page's policy, what could not be loaded, what a script threw or printed.
    pub fn complaints(&self) -> Vec<String> {
        self.hear();
        self.told.borrow().complaints.clone()
    }

    pub fn forget(&self) {
        self.hear();
        *self.told.borrow_mut() = Told::default();
    }

    /// Takes what has been told of this tab.
    fn hear(&self) {
        // An answer comes after what was told before it.
        let _ = self.evaluate("0");
        let mut line = self.line.borrow_mut();
        let (own, others): (Vec<Value>, Vec<Value>) =
            line.events.drain(..).partition(|event| event["sessionId"] == self.session.as_str());
        line.events = others.into();
        let mut told = self.told.borrow_mut();
        for event in own {
            told.take(event["method"].as_str().unwrap_or_default(), &event["params"]);
        }
    }
}

impl Told {
    fn take(&mut self, method: &str, params: &Value) {
        match method {
            "Network.requestWillBeSent" => self.take_request(params),
            "Network.responseReceived" => {
                if let Some(transfer) = self.known(params) {
                    transfer.status = params["response"]["status"].as_u64();
                    transfer.is_from_cache |= params["response"]["fromDiskCache"] == true;
                }
            }
            "Network.requestServedFromCache" => {
                if let Some(transfer) = self.known(params) {
                    transfer.is_from_cache = true;
                }
            }
            "Network.loadingFinished" => {
                if let Some(transfer) = self.known(params) {
                    transfer.bytes = params["encodedDataLength"].as_f64().map(|bytes| bytes as u64);
                }
            }
            "Network.loadingFailed" => {
                if let Some(transfer) = self.known(params) {
                    transfer.has_failed = true;
                }
            }
            "Log.entryAdded" => {
                let entry = &params["entry"];
                let said = format!("{}: {} ({})", entry["source"], entry["text"], entry["url"]);
                self.complaints.push(said);
            }
            "Runtime.consoleAPICalled" => self.complaints.push(format!("console: {}", params["args"])),
            "Runtime.exceptionThrown" => {
                let thrown = &params["exceptionDetails"];
                self.complaints.push(format!("thrown: {} {}", thrown["text"], thrown["exception"]["description"]));
            }
            _ => (),
        }
    }

    fn known(&mut self, params: &Value) -> Option<&mut Transfer> {
        let place = self.by_id.get(params["requestId"].as_str()?)?;
        self.transfers.get_mut(*place)
    }

    fn take_request(&mut self, params: &Value) {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (id, request) = (word(&params["requestId"]), &params["request"]);
        // One that leads on keeps its number, and this is where it ends.
        if let Some(led) = params.get("redirectResponse")
            && let Some(transfer) = self.known(params)
        {
            transfer.status = led["status"].as_u64();
            transfer.bytes = led["encodedDataLength"].as_f64().map(|bytes| bytes as u64);
        }
        let url = word(&request["url"]);
        if url.starts_with("data:") {
            return;
        }
        self.by_id.insert(id, self.transfers.len());
        self.transfers.push(Transfer {
            url,
            method: word(&request["method"]),
            kind: word(&params["type"]),
            status: None,
            is_from_cache: false,
            bytes: None,
            has_failed: false,
        });
    }
}

/// What the left button of the mouse does, or the mouse.
fn mouse(kind: &str, at: &Value) -> Value {
    json!({"type": kind, "x": at["x"], "y": at["y"], "button": "left", "clickCount": 1})
}
