//! Names that kubelet gave to a container, where its runtime says so.
//!
//! In: what a runtime wrote by itself: annotations of an OCI bundle, or its own name of a container. Out: name, pod and
//! namespace. Labels of an image are no such source: whoever built the image wrote them.

use serde_json::Value;

use super::names::Names;

/// Containerd's namespace of what its CRI plugin makes for kubelet.
pub(super) const NAMESPACE: &str = "k8s.io";

/// What an annotation of one of these keys says.
fn first(of: &Value, keys: &[&str]) -> String {
    keys.iter().map(|key| text(&of[*key])).find(|value| !value.is_empty()).unwrap_or_default()
}

/// Annotations of a bundle in a namespace of containerd: the CRI plugin's count in its own namespace only, nerdctl's in all
/// others. Other runtimes may copy an image's annotations into a bundle.
pub(super) fn containerd(namespace: &str, annotations: &Value) -> Names {
    if namespace != NAMESPACE {
        let name = first(annotations, &["nerdctl/name"]);
        return Names { name, image: first(annotations, &["nerdctl/image-ref"]), ..Names::default() };
    }
    let names = Names {
        name: first(annotations, &["io.kubernetes.cri.container-name"]),
        image: first(annotations, &["io.kubernetes.cri.image-name"]),
        pod: first(annotations, &["io.kubernetes.cri.sandbox-name"]),
        namespace: first(annotations, &["io.kubernetes.cri.sandbox-namespace"]),
        ..Names::default()
    };
    sandbox(names, &first(annotations, &["io.kubernetes.cri.container-type"]))
}

/// Annotations of a bundle of CRI-O.
pub(super) fn crio(annotations: &Value) -> Names {
    let names = Names {
        name: first(annotations, &["io.kubernetes.container.name"]),
        image: first(annotations, &["io.kubernetes.cri-o.ImageName"]),
        pod: first(annotations, &["io.kubernetes.pod.name", "io.kubernetes.cri-o.KubeName"]),
        namespace: first(annotations, &["io.kubernetes.pod.namespace", "io.kubernetes.cri-o.Namespace"]),
        ..Names::default()
    };
    sandbox(names, &first(annotations, &["io.kubernetes.cri-o.ContainerType"]))
}

/// A pod's first container holds its namespaces and does nothing.
fn sandbox(mut names: Names, kind: &str) -> Names {
    let is = kind == "sandbox" || names.name == "POD";
    if is && !names.pod.is_empty() {
        names.name = "pause".into();
    }
    names
}

/// A name as kubelet makes it for CRI-O and Docker: `k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT`, with the pod's uid. No
/// name of Kubernetes has `_` in it.
pub(super) fn spelled(name: &str) -> Option<(Names, &str)> {
    let fields: Vec<&str> = name.split('_').collect();
    let [first, container, pod, namespace, uid, attempt] = fields.as_slice() else { return None };
    let named = [container, pod, namespace, uid].iter().all(|field| !field.is_empty());
    if *first != "k8s" || !named || attempt.parse::<u32>().is_err() {
        return None;
    }
    let names = Names {
        name: (*container).to_owned(),
        pod: (*pod).to_owned(),
        namespace: (*namespace).to_owned(),
        other: vec![name.to_owned()],
        ..Names::default()
    };
    Some((sandbox(names, ""), uid))
}

/// A JSON string, cut to what a name may sensibly be.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().chars().take(512).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_count_where_kubelets_runtime_wrote_them() {
        let cri = serde_json::json!({
            "io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.sandbox-name": "web-0", "io.kubernetes.cri.sandbox-namespace": "prod",
            "io.kubernetes.cri.image-name": "registry/app:1", "nerdctl/name": "mine",
        });
        let names = containerd(NAMESPACE, &cri);
        assert_eq!(
            (names.name.as_str(), names.pod.as_str(), names.namespace.as_str(), names.image.as_str()),
            ("app", "web-0", "prod", "registry/app:1")
        );
        let elsewhere = containerd("default", &cri);
        assert_eq!(elsewhere, Names { name: "mine".into(), ..Names::default() });
        let sandbox = serde_json::json!({
            "io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-name": "web-0",
        });
        assert_eq!(containerd(NAMESPACE, &sandbox).name, "pause");
        let crio_sandbox =
            serde_json::json!({ "io.kubernetes.container.name": "POD", "io.kubernetes.pod.name": "p" });
        assert_eq!(crio(&crio_sandbox).name, "pause");
    }

    #[test]
    fn annotations_of_the_wrong_kind_are_nothing() {
        for bad in ["null", "[]", "7", "{\"io.kubernetes.pod.name\":{}}"] {
            let bad: Value = serde_json::from_str(bad).unwrap();
            assert_eq!(crio(&bad), Names::default(), "{bad}");
            assert_eq!(containerd(NAMESPACE, &bad), Names::default(), "{bad}");
        }
    }

    #[test]
    fn kubelets_own_spelling_is_read_and_nothing_like_it() {
        let (names, uid) = spelled("k8s_app_cart-7d9f_shop_0f3cb1b4-92d3_3").unwrap();
        assert_eq!(
            (names.name.as_str(), names.pod.as_str(), names.namespace.as_str()),
            ("app", "cart-7d9f", "shop")
        );
        assert_eq!(uid, "0f3cb1b4-92d3");
        assert_eq!(names.other, ["k8s_app_cart-7d9f_shop_0f3cb1b4-92d3_3"]);
        assert_eq!(spelled("k8s_POD_cart_shop_0f3cb1b4_0").unwrap().0.name, "pause");
        for plain in
            ["web", "k8s_app", "k8s_app_cart_shop_uid_x", "k8s__cart_shop_uid_0", "k9s_a_b_c_d_0", ""]
        {
            assert_eq!(spelled(plain), None, "{plain}");
        }
    }
}
