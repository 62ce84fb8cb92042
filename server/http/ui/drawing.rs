//! Layout of a layered drawing. Pure.

/// A box of the drawing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    /// Name, unique in the drawing.
    pub name: String,
    /// Kind of link, such as `bond`.
    pub kind: &'static str,
    /// The CSS class.
    pub class: &'static str,
    /// Layer, 0 at the bottom; greater than those of all nodes below it.
    pub layer: usize,
    /// The lines under its name.
    pub lines: Vec<String>,
    /// Names of the nodes below it; unknown names are ignored.
    pub below: Vec<String>,
}

/// A node with its place, in pixels from the top left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacedNode<'a> {
    /// What it shows.
    pub node: &'a Node,
    /// Its left edge.
    pub x: i32,
    /// Its upper edge.
    pub y: i32,
    /// Its width.
    pub width: i32,
    /// Its height.
    pub height: i32,
}

impl PlacedNode<'_> {
    /// The lines of text with the place of each baseline.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (i32, &str)> {
        let line = |(index, text)| (self.y + HEAD + LINE * index as i32 + 12, text);
        self.node.lines.iter().map(String::as_str).enumerate().map(line)
    }

    /// The horizontal middle.
    pub(crate) fn middle(&self) -> i32 {
        self.x + self.width / 2
    }
}

/// A whole drawing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drawing<'a> {
    /// Every box.
    pub boxes: Vec<PlacedNode<'a>>,
    /// Every line, as the `d` of an SVG path.
    pub lines: Vec<String>,
    /// How wide it is.
    pub width: i32,
    /// How high it is.
    pub height: i32,
}

const HEAD: i32 = 26;
const LINE: i32 = 16;
const GAP_X: i32 = 20;
const GAP_Y: i32 = 34;
const CHARACTER: i32 = 8;

/// Places `nodes` in layers, in their order and, if there is room, centred over the nodes below.
pub(crate) fn draw(nodes: &[Node]) -> Drawing<'_> {
    let layers = layers(nodes);
    let mut boxes: Vec<Option<PlacedNode>> = vec![None; nodes.len()];
    let mut bottom = layers.iter().map(|layer| layer_height(nodes, layer) + GAP_Y).sum::<i32>();
    let height = (bottom - GAP_Y).max(0) + 2;
    for layer in &layers {
        bottom -= GAP_Y;
        let mut free_x = 1;
        for index in layer {
            let node = &nodes[*index];
            let (width, height) = (box_width(node), box_height(node));
            let wanted = middle_of_below(nodes, node, &boxes).map_or(free_x, |m| m - width / 2);
            let x = wanted.max(free_x);
            boxes[*index] = Some(PlacedNode { node, x, y: bottom - height + 1, width, height });
            free_x = x + width + GAP_X;
        }
        bottom -= layer_height(nodes, layer);
    }
    let boxes: Vec<PlacedNode> = boxes.into_iter().flatten().collect();
    let width = boxes.iter().map(|placed| placed.x + placed.width).max().unwrap_or(0) + 1;
    let lines = lines(&boxes);
    Drawing { boxes, lines, width, height }
}

/// The nodes by layer, lowest first.
fn layers(nodes: &[Node]) -> Vec<Vec<usize>> {
    let top = nodes.iter().map(|node| node.layer).max().unwrap_or(0);
    let at = |wanted| (0..nodes.len()).filter(|i| nodes[*i].layer == wanted).collect::<Vec<_>>();
    (0..=top).map(at).filter(|layer: &Vec<_>| !layer.is_empty()).collect()
}

fn box_width(node: &Node) -> i32 {
    let head = node.name.chars().count() + node.kind.len() + 4;
    let longest = node.lines.iter().map(|line| line.chars().count()).max().unwrap_or(0).max(head);
    (longest as i32 * CHARACTER + 20).clamp(140, 420)
}

fn box_height(node: &Node) -> i32 {
    HEAD + LINE * node.lines.len() as i32 + 8
}

fn layer_height(nodes: &[Node], layer: &[usize]) -> i32 {
    layer.iter().map(|index| box_height(&nodes[*index])).max().unwrap_or(0)
}

fn middle_of_below(nodes: &[Node], node: &Node, boxes: &[Option<PlacedNode>]) -> Option<i32> {
    let place = |name: &String| {
        let index = nodes.iter().position(|other| other.name == *name)?;
        boxes[index].as_ref().map(PlacedNode::middle)
    };
    let middles: Vec<i32> = node.below.iter().filter_map(place).collect();
    let (low, high) = (middles.iter().min()?, middles.iter().max()?);
    Some((low + high) / 2)
}

fn lines(boxes: &[PlacedNode]) -> Vec<String> {
    let mut lines = Vec::new();
    for upper in boxes {
        let below = upper.node.below.iter();
        for lower in below.filter_map(|name| boxes.iter().find(|b| b.node.name == *name)) {
            let (x1, y1) = (upper.middle(), upper.y + upper.height);
            let (x2, y2) = (lower.middle(), lower.y);
            let bend = (y1 + y2) / 2;
            lines.push(format!("M{x1} {y1}V{bend}H{x2}V{y2}"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, layer: usize, below: &[&str]) -> Node {
        let below = below.iter().map(|name| (*name).to_owned()).collect();
        Node { name: name.into(), layer, lines: vec!["line".into()], below, ..Node::default() }
    }

    #[test]
    fn every_node_is_above_the_nodes_below_it() {
        let nodes = [
            node("eth0", 0, &[]),
            node("eth1", 0, &[]),
            node("bond0", 1, &["eth0", "eth1"]),
            node("vlan500", 2, &["bond0"]),
            node("virbr0", 3, &["vlan500"]),
        ];
        let drawing = draw(&nodes);
        let at = |name: &str| drawing.boxes.iter().find(|b| b.node.name == name).unwrap();
        assert_eq!(at("eth0").y, at("eth1").y);
        assert!(at("eth0").x + at("eth0").width < at("eth1").x);
        for (upper, lower) in [("bond0", "eth0"), ("vlan500", "bond0"), ("virbr0", "vlan500")] {
            assert!(at(upper).y + at(upper).height < at(lower).y, "{upper} over {lower}");
        }
        assert_eq!(at("bond0").middle(), (at("eth0").middle() + at("eth1").middle()) / 2);
        assert_eq!(drawing.lines.len(), 4);
        for placed in &drawing.boxes {
            assert!(placed.x >= 0 && placed.x + placed.width <= drawing.width, "{placed:?}");
            assert!(placed.y >= 0 && placed.y + placed.height <= drawing.height, "{placed:?}");
        }
    }

    #[test]
    fn unknown_names_and_empty_layers_do_no_harm() {
        let nodes = [node("a", 0, &["a"]), node("c", 5, &["unknown"])];
        let drawing = draw(&nodes);
        assert_eq!((drawing.boxes.len(), drawing.lines.len()), (2, 1));
        assert_eq!(draw(&[]), Drawing { height: 2, width: 1, ..Drawing::default() });
    }
}
